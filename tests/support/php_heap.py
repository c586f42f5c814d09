"""PHP structures laid out from a layout row, as they should be; tests write lies over them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from symbolizers.checksum import checksum
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import Row
from symbolizers.php.functions import (
    CLASS_NAME,
    EVAL_CODE,
    FUNCTION_NAME,
    FUNCTION_SCOPE,
    INTERNAL_FUNCTION,
    OPCODE_BYTES,
    OPCODE_LINE,
    STRING_LENGTH,
    STRING_TEXT,
    USER_FUNCTION,
)
from symbolizers.php.kinds import PHP_FUNCTION, PHP_INTERNAL
from tests.support.heap import FakeMemory

__all__ = ["EVAL_CODE", "PhpHeap"]

HANDLER = 0x5555_0000_1000


@dataclass
class PhpHeap:
    """Builds functions and their parts in `memory` as `row` describes them."""

    row: Row
    memory: FakeMemory = field(default_factory=FakeMemory)
    next_address: int = 0x7F12_0000_0010

    def place(self, content: bytes) -> int:
        """Puts `content` somewhere; its address."""
        address = self.next_address
        self.memory.write(address, content)
        self.next_address += -(-len(content) // 64) * 64 + 64
        return address

    def string(self, text: bytes) -> int:
        content = bytearray(STRING_TEXT + len(text) + 1)
        struct.pack_into("<Q", content, STRING_LENGTH, len(text))
        content[STRING_TEXT : STRING_TEXT + len(text)] = text
        return self.place(bytes(content))

    def class_(self, name: bytes) -> int:
        content = bytearray(CLASS_NAME + 8)
        struct.pack_into("<Q", content, CLASS_NAME, self.string(name))
        return self.place(bytes(content))

    def opcodes(self, lines: tuple[int, ...]) -> int:
        content = bytearray(OPCODE_BYTES * len(lines))
        for index, line in enumerate(lines):
            struct.pack_into("<I", content, OPCODE_BYTES * index + OPCODE_LINE, line)
        return self.place(bytes(content))

    def function(
        self,
        name: bytes = b"",
        *,
        scope: int = 0,
        file: bytes = b"/srv/app.php",
        lines: tuple[int, ...] = (3, 3, 4, 7),
        opcodes: int = 0,
        type_: int = USER_FUNCTION,
    ) -> int:
        """An op_array of `lines`, or of the `opcodes` that another one has."""
        row = self.row
        content = bytearray(row["function_lines"] + 8)
        content[0] = type_
        words = {
            FUNCTION_NAME: self.string(name) if name else 0,
            FUNCTION_SCOPE: scope,
            row["function_opcodes"]: opcodes or self.opcodes(lines),
            row["function_filename"]: self.string(file),
            row["function_lines"]: min(lines) | max(lines) << 32,
        }
        for offset, word in words.items():
            struct.pack_into("<Q", content, offset, word)
        struct.pack_into("<I", content, row["function_last"], len(lines))
        return self.place(bytes(content))

    def internal(self, name: bytes, *, scope: int = 0) -> int:
        content = bytearray(self.row["internal_handler"] + 8)
        content[0] = INTERNAL_FUNCTION
        struct.pack_into("<QQ", content, FUNCTION_NAME, self.string(name), scope)
        struct.pack_into("<Q", content, self.row["internal_handler"], HANDLER)
        return self.place(bytes(content))

    def frame_of(self, function: int, kind: int = PHP_FUNCTION) -> RawFrame:
        """What the walker captures of a frame that runs `function`, at its first opcode."""
        if kind == PHP_INTERNAL:
            words = [
                self._word(function, at)
                for at in (FUNCTION_NAME, FUNCTION_SCOPE, self.row["internal_handler"])
            ]
            return RawFrame(kind << CAPTURE_KIND_SHIFT | function, 0, checksum([0, *words]))
        row = self.row
        offsets = (
            *(row["function_opcodes"], FUNCTION_NAME, FUNCTION_SCOPE, row["function_filename"]),
            row["function_lines"],
        )
        words = [self._word(function, at) for at in offsets]
        (last,) = struct.unpack("<I", self.memory.read(function + row["function_last"], 4))
        return RawFrame(kind << CAPTURE_KIND_SHIFT | words[0], 0, checksum([*words, last]), function)

    def _word(self, address: int, offset: int) -> int:
        return int.from_bytes(self.memory.read(address + offset, 8), "little")
