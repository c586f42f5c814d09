"""Reads the functions of a PHP process: how they are called, where, and their lines.

PHP compiles a function, a file or eval'd code to an op_array. A closure holds a copy of its own, but all
copies share the opcodes: a frame's address is that of the opcodes, and its owner is the op_array to read.
"""

from __future__ import annotations

import re
import struct
from types import MappingProxyType
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.checksum import checksum
from symbolizers.errors import Changed
from symbolizers.frame import ADDRESS_MASK, CodeObject, RawFrame, capture_kind
from symbolizers.layout import Row
from symbolizers.php.kinds import (
    NAME,
    PHP_INCLUDE,
    PHP_INCLUDE_ONCE,
    PHP_INTERNAL,
    PHP_REQUIRE,
    PHP_REQUIRE_ONCE,
)
from symbolizers.values import MAX_TEXT_BYTES, pointer, text_of, word_at

OPCODE_BYTES: Final = 32
OPCODE_LINE: Final = 24
FUNCTION_NAME: Final = 8
FUNCTION_SCOPE: Final = 16
CLASS_NAME: Final = 8
STRING_LENGTH: Final = 16
STRING_TEXT: Final = 24
INTERNAL_FUNCTION: Final = 1
USER_FUNCTION: Final = 2
EVAL_CODE: Final = 4
"""Offsets (bytes) and types that are the same in every row: `symbolizers.php.derive` prints them again."""

MAX_OPCODES: Final = 1 << 15
"""A function with more of them (1 MB) goes without a line table."""

_LOADS: Final = MappingProxyType(
    {
        PHP_INCLUDE: "include",
        PHP_INCLUDE_ONCE: "include_once",
        PHP_REQUIRE: "require",
        PHP_REQUIRE_ONCE: "require_once",
    }
)
"""How PHP calls the frame of a file that its caller loads."""
_PLACE: Final = re.compile(rb"\0[^\0]*?:\d+\$[0-9a-f]+")
"""What an anonymous class has in its name, behind a NUL: the place where it stands, and a number."""
_MAIN: Final = "{main}"
_EVAL: Final = "eval"


def plain_text(text: bytes, *, is_whole: bool = True) -> str:
    """The text of a zend_string without what makes the names of anonymous classes unique.

    Bytes that are not UTF-8 come as ``\\xNN``; one that is not whole ends in ``…``.
    """
    return text_of(_PLACE.sub(b"", text).partition(b"\0")[0], is_whole=is_whole)


def function_name(name: str, class_name: str) -> str:
    """The name, qualified with the class in which the function stands, if there is one."""
    return f"{class_name}::{name}" if class_name else name


def called(name: str, kind: int, type_: int) -> str:
    """`name`, or what PHP calls the frame of a file or of eval'd code, by its capture kind and type."""
    by_type = _EVAL if type_ == EVAL_CODE else _MAIN
    return name or (_LOADS.get(kind, by_type) if type_ != INTERNAL_FUNCTION else "")


class PhpSymbolizer:
    """Reads the functions of one process. Lifetime: the process's address space."""

    def __init__(self, row: Row, memory: AddressSpace, *, lines: bool) -> None:
        self._row = row
        self._memory = memory
        self._lines = lines

    def read(self, frame: RawFrame) -> CodeObject:
        """What `frame` was captured from: ``Class::method`` and its like, as PHP calls it.

        Raises `ReadFault` (try again later), `Changed` (it is not that function any more) or `Malformed`.
        """
        function = self._captured(frame)
        if capture_kind(frame.address) == PHP_INTERNAL:
            code = CodeObject(NAME, self._name(function), "", 0)
        else:
            code = self._user_code(frame, function)
        self._captured(frame)
        return code

    def _captured(self, frame: RawFrame) -> bytes:
        """The function behind `frame`, if it is still what the walker saw. Raises `Changed`."""
        row = self._row
        if capture_kind(frame.address) == PHP_INTERNAL:
            address, types = frame.address & ADDRESS_MASK, {INTERNAL_FUNCTION}
            function = self._memory.read(pointer(address), row["internal_handler"] + 8)
            words = [
                0,
                *(word_at(function, at) for at in (FUNCTION_NAME, FUNCTION_SCOPE, row["internal_handler"])),
            ]
        else:
            address, types = frame.owner, {USER_FUNCTION, EVAL_CODE}
            function = self._memory.read(pointer(address), row["function_lines"] + 8)
            places = row["function_opcodes"], FUNCTION_NAME, FUNCTION_SCOPE, row["function_filename"]
            words = [word_at(function, at) for at in (*places, row["function_lines"])]
            words.append(self._count(function))
        if function[0] not in types or checksum(words) != frame.checksum:
            raise Changed(f"function at {address:#x} is another now")
        return function

    def _count(self, function: bytes) -> int:
        """How many opcodes a function has."""
        (count,) = struct.unpack_from("<I", function, self._row["function_last"])
        return int(count)

    def _user_code(self, frame: RawFrame, function: bytes) -> CodeObject:
        (first_line,) = struct.unpack_from("<I", function, self._row["function_lines"])
        name = called(self._name(function), capture_kind(frame.address), function[0])
        file = word_at(function, self._row["function_filename"])
        starts, lines = self._read_lines(frame, self._count(function)) if self._lines else ((), ())
        return CodeObject(NAME, name, self._string(file) if file else "", first_line, starts, lines)

    def _name(self, function: bytes) -> str:
        """The name, qualified with the class in which the function stands; empty without one."""
        address = word_at(function, FUNCTION_NAME)
        scope = word_at(function, FUNCTION_SCOPE)
        if not address:
            return ""
        name = self._string(address)
        if not scope:
            return name
        class_name = word_at(self._memory.read(pointer(scope) + CLASS_NAME, 8), 0)
        return function_name(name, self._string(class_name))

    def _string(self, address: int) -> str:
        """As `plain_text`; a text longer than `MAX_TEXT_BYTES` ends in ``…`` there."""
        length = word_at(self._memory.read(pointer(address) + STRING_LENGTH, 8), 0)
        if not length:
            return ""
        text = self._memory.read(address + STRING_TEXT, min(length, MAX_TEXT_BYTES))
        return plain_text(text, is_whole=length <= MAX_TEXT_BYTES)

    def _read_lines(self, frame: RawFrame, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where lines start (bytes from the first opcode), and which; empty with too many opcodes."""
        starts: list[int] = []
        lines: list[int] = []
        if not 0 < count <= MAX_OPCODES:
            return (), ()
        opcodes = self._memory.read(pointer(frame.address & ADDRESS_MASK), count * OPCODE_BYTES)
        for start in range(0, len(opcodes), OPCODE_BYTES):
            (line,) = struct.unpack_from("<I", opcodes, start + OPCODE_LINE)
            if not lines or line != lines[-1]:
                starts.append(start)
                lines.append(line)
        return tuple(starts), tuple(lines)
