"""Ruby: recognises the interpreter in an ELF file, and reads iseqs and method entries of a process."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, Malformed, UnsupportedVersion
from symbolizers.frame import ADDRESS_MASK, CaptureKind, CodeObject, FrameKind, RawFrame, capture_kind
from symbolizers.layouts.row import Row
from symbolizers.layouts.ruby import LAYOUTS
from symbolizers.ruby_lines import LineTable, decode_succinct, succinct_size
from symbolizers.ruby_machine_code import find_global_symbols, find_loop, find_vm
from symbolizers.ruby_objects import (
    IMEMO_ISEQ,
    IMEMO_MASK,
    IMEMO_METHOD,
    OBJECT_BYTES,
    RubyObjects,
    pointer,
    word_at,
)

BODY_WORDS: Final = 12
METHOD_WORDS: Final = 4
"""What is checksummed, from the start of a body and after a method entry's flags. See ruby_layout.h."""

MAX_CODE_WORDS: Final = 1 << 20
"""Bytecode beyond this goes without a line table."""

_MAX_VERSION_BYTES: Final = 16
_VERSION: Final = re.compile(rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\0")
_METHOD_AT: Final = 8
_METHOD: Final = struct.Struct(f"<{METHOD_WORDS}Q")
_BODY: Final = struct.Struct(f"<{BODY_WORDS}Q")
_NO_BODY: Final = (0,) * BODY_WORDS
_NO_METHOD: Final = (0,) * METHOD_WORDS

_LINE_TABLES: Final[Mapping[str, Callable[[Row, bytes, int, bytes], LineTable]]] = MappingProxyType(
    {"succinct": decode_succinct}
)
"""The decoder that a row's capability ``line_table`` names."""


class RubyLanguage:
    """Recognises Ruby (CRuby): libruby, a static executable, or a program that embeds it."""

    name = "ruby"

    def recognise(self, elf: ElfFile) -> RubyFile | None:
        """The Ruby in `elf`, or None. Raises `UnsupportedVersion`, or `Malformed` for a broken file."""
        symbol = elf.symbol("ruby_version")
        if symbol is None:
            return None
        match = _VERSION.match(elf.read(symbol.address, min(symbol.size, _MAX_VERSION_BYTES)))
        if match is None:
            return None  # a program with a variable of that name
        version = ".".join(group.decode() for group in match.groups())
        row = LAYOUTS.find(tuple(map(int, match.groups())))
        root = find_vm(elf)
        if row is None or not root:
            raise UnsupportedVersion("Ruby", version, LAYOUTS.supported)
        return RubyFile(
            version=version,
            row=row,
            root=root,
            loop=find_loop(elf),
            global_symbols=find_global_symbols(elf, row),
        )


@dataclass(frozen=True)
class RubyFile:
    """Ruby in one ELF file; all addresses are the file's own, before a load bias, and 0 where unknown."""

    version: str
    row: Row
    root: int
    loop: tuple[int, int]
    global_symbols: int

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""
        start, end = self.loop
        return Interpreter(
            language=RubyLanguage.name,
            version=self.version,
            layout=self.row.name,
            offsets=self.row.numbers(),
            root=self.root + bias,
            loop=(start + bias, end + bias) if end else (0, 0),
        )

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> RubySymbolizer:
        """A reader of the iseqs and method entries of one process, with line tables if `lines`."""
        bias = interpreter.root - self.root
        symbols = self.global_symbols + bias if self.global_symbols else 0
        return RubySymbolizer(self.row, memory, RubyObjects(self.row, memory, symbols), lines=lines)


class _Captured(NamedTuple):
    """What the walker checksummed, as it is now: `body` whole, `method` of zeros where there is none."""

    body: bytes
    method: bytes


class RubySymbolizer:
    """Reads iseqs and method entries of one process. Lifetime: the process's address space."""

    def __init__(self, row: Row, memory: AddressSpace, objects: RubyObjects, *, lines: bool) -> None:
        self._row = row
        self._memory = memory
        self._objects = objects
        self._lines = lines
        self._line_table = _LINE_TABLES[row.capabilities["line_table"]]
        ends = ("body_local_iseq", "body_lines", "body_lines_count", "body_lines_index", "body_first_line")
        self._body_bytes = max(8 * BODY_WORDS, *(row[name] + 8 for name in ends))

    def read(self, frame: RawFrame) -> CodeObject:
        """What `frame` was captured from: ``Class#method`` and its like, as Ruby calls it.

        Raises `ReadFault` (try again later), `Changed` (it is not that object any more) or `Malformed`.
        """
        captured = self._captured(frame)
        if capture_kind(frame.address) == CaptureKind.RUBY_CFUNC:
            code = CodeObject(FrameKind.RUBY, self._cfunc_name(captured.method), "", 0)
        else:
            code = self._iseq(frame, captured)
        self._captured(frame)
        return code

    def _captured(self, frame: RawFrame) -> _Captured:
        """The memory behind `frame`, if it is still what the walker saw. Raises `Changed`."""
        address = pointer(frame.address & ADDRESS_MASK)
        body, method = b"", bytes(OBJECT_BYTES)
        if capture_kind(frame.address) == CaptureKind.RUBY_ISEQ:
            body = self._memory.read(self._body_of(address), self._body_bytes)
        if frame.owner:
            method = self._memory.read(pointer(frame.owner), OBJECT_BYTES)
            if word_at(method, 0) & IMEMO_MASK != IMEMO_METHOD:
                raise Changed(f"object at {frame.owner:#x} is not a method entry any more")
        words = (
            *(_BODY.unpack_from(body) if body else _NO_BODY),
            *(_METHOD.unpack_from(method, _METHOD_AT) if frame.owner else _NO_METHOD),
        )
        if checksum(words) != frame.checksum:
            raise Changed(f"iseq or method at {address:#x} is another now")
        return _Captured(body, method)

    def _body_of(self, iseq: int) -> int:
        """The address of an iseq's body. Raises `Changed` where no iseq is."""
        content = self._memory.read(pointer(iseq), self._row["iseq_body"] + 8)
        if word_at(content, 0) & IMEMO_MASK != IMEMO_ISEQ:
            raise Changed(f"object at {iseq:#x} is not an iseq any more")
        return pointer(word_at(content, self._row["iseq_body"]))

    def _cfunc_name(self, method: bytes) -> str:
        definition = pointer(word_at(method, self._row["method_definition"]))
        id_ = word_at(self._memory.read(definition + self._row["definition_id"], 8), 0)
        return self._objects.method_name(word_at(method, self._row["method_owner"]), self._objects.name(id_))

    def _iseq(self, frame: RawFrame, captured: _Captured) -> CodeObject:
        row, body = self._row, captured.body
        label = self._objects.string(word_at(body, row["body_label"]))
        if frame.owner and self._is_in_method(frame.address & ADDRESS_MASK, body):
            base = self._objects.string(word_at(body, row["body_base_label"]))
            if label.endswith(base):
                owner = word_at(captured.method, row["method_owner"])
                label = label[: len(label) - len(base)] + self._objects.method_name(owner, base)
        file = self._objects.path(word_at(body, row["body_path"]))
        first_line = word_at(body, row["body_first_line"]) >> 1 & 0x7FFFFFFF  # a small Integer
        starts, lines = self._read_lines(body) if self._lines else ((), ())
        return CodeObject(FrameKind.RUBY, label, file, first_line, starts, lines)

    def _is_in_method(self, address: int, body: bytes) -> bool:
        """Whether the iseq is that of a method, or of a block and the like inside of one.

        Not so for the blocks of a class body: a method made of one by define_method is called by the
        block's label.
        """
        local = word_at(body, self._row["body_local_iseq"])
        if local != address:
            type_at = self._body_of(local) + self._row["body_type"]
            kind = int.from_bytes(self._memory.read(type_at, 4), "little")
        else:
            (kind,) = struct.unpack_from("<I", body, self._row["body_type"])
        return kind == self._row["body_type_method"]

    def _read_lines(self, body: bytes) -> LineTable:
        row = self._row
        (code_words,) = struct.unpack_from("<I", body, row["body_code_words"])
        (count,) = struct.unpack_from("<I", body, row["body_lines_count"])
        if count > code_words:
            raise Malformed(f"{count} lines for {code_words} words of code")
        if not count or code_words > MAX_CODE_WORDS:
            return (), ()
        entries = self._memory.read(word_at(body, row["body_lines"]), count * row["line_entry_size"])
        table = b""
        if count > 1:
            table = self._memory.read(word_at(body, row["body_lines_index"]), succinct_size(code_words))
        return self._line_table(row, table, code_words, entries)
