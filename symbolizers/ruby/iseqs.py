"""Reads the iseqs and method entries of a Ruby process: their names, files and lines."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from symbolizers.base import AddressSpace
from symbolizers.checksum import checksum
from symbolizers.errors import Changed, Malformed
from symbolizers.frame import ADDRESS_MASK, CodeObject, RawFrame, capture_kind
from symbolizers.layout import Row
from symbolizers.ruby.kinds import NAME, RUBY_CFUNC, RUBY_ISEQ
from symbolizers.ruby.labels import in_blocks, with_class
from symbolizers.ruby.lines import LineTable, decode_positions, decode_succinct, succinct_size
from symbolizers.ruby.objects import (
    IMEMO_ISEQ,
    IMEMO_MASK,
    IMEMO_METHOD,
    OBJECT_BYTES,
    RubyObjects,
)
from symbolizers.values import pointer, word_at

BODY_WORDS: Final = 12
METHOD_WORDS: Final = 4
"""The words that are checksummed: of a body's start, and behind a method entry's flags (ruby_layout.h)."""

MAX_CODE_WORDS: Final = 1 << 18
"""Bytecode beyond this (2 MB) goes without a line table."""

_MAX_NESTED: Final = 64
"""How deep iseqs are nested at most: blocks in blocks, and the like."""
_METHOD_AT: Final = 8
_METHOD: Final = struct.Struct(f"<{METHOD_WORDS}Q")
_BODY: Final = struct.Struct(f"<{BODY_WORDS}Q")
_NO_BODY: Final = (0,) * BODY_WORDS
_NO_METHOD: Final = (0,) * METHOD_WORDS

_LINE_TABLES: Final[Mapping[str, Callable[[Row, bytes, int, bytes], LineTable]]] = MappingProxyType(
    {"succinct": decode_succinct, "positions": decode_positions}
)
"""The decoder that a row's capability ``line_table`` names."""


class _Captured(NamedTuple):
    """What the walker checksummed, as it is now: the whole `body`; `method` is zeros where there is none."""

    body: bytes
    method: bytes


class Label(NamedTuple):
    """An iseq's name; the line where the code of that name begins; `CodeObject.stands_for_caller`."""

    text: str
    first_line: int
    stands_for_caller: bool


class RubySymbolizer:
    """Reads iseqs and method entries of one process. Lifetime: the process's address space."""

    def __init__(self, row: Row, memory: AddressSpace, objects: RubyObjects, *, lines: bool) -> None:
        self._row = row
        self._memory = memory
        self._objects = objects
        self._lines = lines
        self._line_table = _LINE_TABLES[row.capabilities["line_table"]]
        self._label = _LABELS[row["labels_by_method"]]
        ends = (
            "body_local_iseq",
            "body_parent_iseq",
            "body_lines",
            "body_lines_count",
            "body_lines_index",
            "body_first_line",
        )
        self._body_bytes = max(8 * BODY_WORDS, *(row[name] + 8 for name in ends if row.has(name)))

    def read(self, frame: RawFrame) -> CodeObject:
        """What `frame` was captured from: ``Class#method`` and the like, as Ruby calls it.

        Raises `ReadFault` (try again later), `Changed` (it is not that object any more) or `Malformed`.
        """
        captured = self._captured(frame)
        if capture_kind(frame.address) == RUBY_CFUNC:
            code = CodeObject(NAME, self._cfunc_name(captured.method), "", 0)
        else:
            code = self._iseq(frame, captured)
        self._captured(frame)
        return code

    def _captured(self, frame: RawFrame) -> _Captured:
        """The memory behind `frame`, if it is still what the walker saw. Raises `Changed`."""
        address = pointer(frame.address & ADDRESS_MASK)
        body, method = b"", bytes(OBJECT_BYTES)
        if capture_kind(frame.address) == RUBY_ISEQ:
            body = self._read_body(address)
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
        """The address of an iseq's body. Raises `Changed` if there is no iseq."""
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
        label, first_line, stands_for_caller = self._label(self, frame, captured)
        file = self._objects.path(word_at(body, row["body_path"]))
        starts, lines = self._read_lines(body) if self._lines else ((), ())
        return CodeObject(NAME, label, file, first_line, starts, lines, stands_for_caller)

    def compiled_label(self, frame: RawFrame, captured: _Captured) -> Label:
        """The label as the compiler made it, with the class before the method's name in it."""
        row, body = self._row, captured.body
        label = self._objects.string(word_at(body, row["body_label"]))
        if frame.owner and self._is_in_method(frame.address & ADDRESS_MASK, body):
            base = self._objects.string(word_at(body, row["body_base_label"]))
            label = with_class(label, base, self._method_label(captured, base))
        return Label(label, _first_line(row, body), False)

    def label_by_method(self, frame: RawFrame, captured: _Captured) -> Label:
        """The label as 3.4 puts it together. A rescue, an ensure or an eval has that of the code around it.

        A block's label counts the blocks from it outwards, then names the method, file or class body.
        """
        row, body = self._row, captured.body
        parts = (row["body_type_rescue"], row["body_type_ensure"])
        is_part = _kind(row, body) in parts
        body = self._out_of(body, *parts, row["body_type_eval"])
        first_line = _first_line(row, body if is_part else captured.body)
        levels = 0
        while _kind(row, body) == row["body_type_block"] and levels < _MAX_NESTED:
            levels += 1
            body = self._read_body(word_at(body, row["body_parent_iseq"]))
            body = self._out_of(body, *parts, row["body_type_eval"])
        label = self._objects.string(word_at(body, row["body_label"]))
        if frame.owner and _kind(row, body) == row["body_type_method"]:
            label = self._method_label(captured, self._objects.string(word_at(body, row["body_base_label"])))
        return Label(in_blocks(label, levels), first_line, is_part)

    def _out_of(self, body: bytes, *kinds: int) -> bytes:
        """The body of the innermost iseq from `body` outwards that is of none of `kinds`."""
        for _ in range(_MAX_NESTED):
            if _kind(self._row, body) not in kinds:
                break
            body = self._read_body(word_at(body, self._row["body_parent_iseq"]))
        return body

    def _method_label(self, captured: _Captured, name: str) -> str:
        return self._objects.method_name(word_at(captured.method, self._row["method_owner"]), name)

    def _is_in_method(self, address: int, body: bytes) -> bool:
        """Whether the iseq is that of a method, or of a block and the like inside of one.

        A block of a class body is not: a method that define_method made of it has the block's label.
        """
        local = word_at(body, self._row["body_local_iseq"])
        if local != address:
            body = self._read_body(local)
        return _kind(self._row, body) == self._row["body_type_method"]

    def _read_body(self, iseq: int) -> bytes:
        return self._memory.read(self._body_of(iseq), self._body_bytes)

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
        if count > 1 and row.has("body_lines_index"):
            table = self._memory.read(word_at(body, row["body_lines_index"]), succinct_size(code_words))
        return self._line_table(row, table, code_words, entries)


def _kind(row: Row, body: bytes) -> int:
    """The type of an iseq with this body."""
    (kind,) = struct.unpack_from("<I", body, row["body_type"])
    return int(kind)


def _first_line(row: Row, body: bytes) -> int:
    word = word_at(body, row["body_first_line"])
    return word >> row["body_first_line_tag_bits"] & 0x7FFFFFFF


_LABELS: Final[Sequence[Callable[[RubySymbolizer, RawFrame, _Captured], Label]]] = (
    RubySymbolizer.compiled_label,
    RubySymbolizer.label_by_method,
)
"""The function that makes the label of an iseq, by the row's number ``labels_by_method``."""
