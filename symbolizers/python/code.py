"""Reads CPython's code objects, with their names and line tables, from the memory of a process."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct

from symbolizers.base import AddressSpace
from symbolizers.checksum import checksum
from symbolizers.errors import Changed, Malformed, ReadFault, SymbolizeError
from symbolizers.frame import ADDRESS_MASK, CodeObject, RawFrame
from symbolizers.layout import Row
from symbolizers.python.kinds import NAME
from symbolizers.python.lines import (
    LineTable,
    decode_lnotab,
    decode_locations,
    decode_ranges,
    decode_unsigned_lnotab,
)
from symbolizers.python.strings import MAX_LENGTH, decode, decode_bytes, parse_head

MAX_NAME_CHARACTERS: Final = 1024
MAX_FILE_CHARACTERS: Final = 4096
MAX_LINE_TABLE_BYTES: Final = 1 << 18
"""The longest found among some thousand packages has 74 kB. Each byte may stand for half a line."""

_PAGE_BYTES: Final = 4096
_PREFIX_BYTES: Final = 256
_REFERENCES_MASK: Final = (1 << 32) - 1
_ADDRESS_ONLY_MASK: Final = 0xFFFF << 32
_STR_FLAG: Final = 1 << 28
_BYTES_FLAG: Final = 1 << 27
_NO_FLAG: Final = 0
_MAX_KNOWN_TYPES: Final = 64
_CODE_TYPE_NAME: Final = b"code\0"

_WORD: Final = struct.Struct("<Q")
_LINE: Final = struct.Struct("<i")

LINE_TABLES: Final[Mapping[str, Callable[[bytes, int], LineTable]]] = MappingProxyType(
    {
        "lnotab_unsigned": decode_unsigned_lnotab,
        "lnotab": decode_lnotab,
        "ranges": decode_ranges,
        "locations": decode_locations,
    }
)
"""The decoder that a row's capability ``line_table`` names."""


class TypeAddresses(Struct, frozen=True):
    """Addresses of the types that code objects and their parts must have, 0 where not exported."""

    code: int
    str: int
    bytes: int

    def at(self, bias: int) -> TypeAddresses:
        return TypeAddresses(*(address and address + bias for address in (self.code, self.str, self.bytes)))


class _Part(NamedTuple):
    """An object that a code object points at: its address and its first bytes."""

    address: int
    prefix: bytes


class _Span(NamedTuple):
    """Where the contents of an object are, in bytes, and the bytes of a character (0: just bytes)."""

    address: int
    size: int
    width: int


class PythonSymbolizer:
    """Reads code objects of one process. Lifetime: the process's address space; holds no text."""

    def __init__(self, row: Row, memory: AddressSpace, types: TypeAddresses, *, lines: bool) -> None:
        self._row = row
        self._memory = memory
        self._types = types
        self._known_types: set[tuple[int, int]] = set()
        self._lines = lines
        self._line_table = LINE_TABLES[row.capabilities["line_table"]]
        self._names_are_bytes = row.capabilities["strings"] == "bytes"
        self._name_field = "code_qualname" if row.has("code_qualname") else "code_name"
        self._checked = slice(row["code_checksum"], row["code_checksum"] + 8 * row["code_checksum_words"])
        self._words = struct.Struct(f"<{row['code_checksum_words']}Q")

    def read(self, frame: RawFrame) -> CodeObject:
        """The code object that `frame` was captured from.

        Raises `ReadFault` (try again later), `Changed` (it is not that object any more) or `Malformed`.
        """
        row = self._row
        address = _pointer(frame.address & ADDRESS_MASK)
        head = self._code_head(address)
        if checksum(self._words.unpack(head[self._checked])) != frame.checksum:
            raise Changed(f"code object at {address:#x} is another now")
        (first_line,) = _LINE.unpack_from(head, row["code_first_line"])
        file, name, table = self._parts(head)
        if self._code_head(address)[self._checked] != head[self._checked]:
            raise Changed(f"code object at {address:#x} changed while it was read")
        starts, lines = self._line_table(table, first_line)
        return CodeObject(NAME, name, file, max(first_line, 0), starts, lines)

    def _code_head(self, address: int) -> bytes:
        """The code object up to the end of its checked region; `Changed` where there is none (now).

        A freed object keeps most of its bytes: the allocator writes its list of free blocks over the
        reference count, which then is 0 or looks like an address. (From 3.14 on the count is the lower
        half and the highest 16 bits are flags. A free-threaded build has no count there.)
        """
        head = self._memory.read(address, self._checked.stop)
        if self._row.has("object_refcount"):
            references = _word(head, self._row["object_refcount"])
            if not references & _REFERENCES_MASK or references & _ADDRESS_ONLY_MASK:
                raise Changed(f"object at {address:#x} is freed")
        type_address = _word(head, self._row["object_type"])
        if type_address != self._types.code and not self._is_copied_code_type(type_address):
            raise Changed(f"object at {address:#x} is not a code object")
        return head

    def _parts(self, head: bytes) -> tuple[str, str, bytes]:
        """File, name (qualified from 3.11 on) and line table (empty unless asked for) of the code object."""
        row = self._row
        least_bytes = row["bytes_data" if self._names_are_bytes else "unicode_ascii_data"]
        wanted = [("code_filename", least_bytes), (self._name_field, least_bytes)]
        if self._lines:
            wanted.append(("code_linetable", row["bytes_data"]))
        objects = [(_pointer(_word(head, row[field])), least_bytes) for field, least_bytes in wanted]
        prefixes = self._read_many([(address, _prefix_size(address, least)) for address, least in objects])
        parts = [_Part(address, prefix) for (address, _), prefix in zip(objects, prefixes, strict=True)]
        spans = [
            self._string_span(parts[0], MAX_FILE_CHARACTERS),
            self._string_span(parts[1], MAX_NAME_CHARACTERS),
            *(self._bytes_span(part) for part in parts[2:]),
        ]
        file, name, *tables = self._contents(parts, spans)
        return _text(file, spans[0]), _text(name, spans[1]), b"".join(tables)

    def _string_span(self, part: _Part, limit: int) -> _Span:
        """Where the characters of a name are, at most `limit` of them."""
        if self._names_are_bytes:
            span = self._bytes_span(part)
            return span._replace(size=min(span.size, limit))
        self._expect(part, self._types.str, _STR_FLAG)
        string = parse_head(self._row, part.prefix)
        address = part.address + string.data_offset
        if string.indirect:
            address = _pointer(_word(self._memory.read(address, _WORD.size), 0), alignment=string.width)
        return _Span(address, min(string.length, limit) * string.width, string.width)

    def _bytes_span(self, part: _Part) -> _Span:
        """Where the contents of a ``bytes`` are; of length 0 if there are too many.

        Half a line table would give wrong lines; an empty one gives the first line.
        """
        self._expect(part, self._types.bytes, _BYTES_FLAG)
        size = _word(part.prefix, self._row["bytes_size"])
        if size > MAX_LENGTH:
            raise Malformed(f"an object of {size} bytes")
        address = part.address + self._row["bytes_data"]
        return _Span(address, size if size <= MAX_LINE_TABLE_BYTES else 0, 0)

    def _contents(self, parts: Sequence[_Part], spans: Sequence[_Span]) -> list[bytes]:
        """The bytes of each span, read only as far as they are not in the prefix of its part."""
        found = []
        for part, span in zip(parts, spans, strict=True):
            offset = span.address - part.address
            found.append(part.prefix[offset : offset + span.size] if offset >= 0 else b"")
        missing = [
            (span.address + len(have), span.size - len(have))
            for have, span in zip(found, spans, strict=True)
            if len(have) < span.size
        ]
        rest = iter(self._read_many(missing) if missing else ())
        return [
            have + next(rest) if len(have) < span.size else have
            for have, span in zip(found, spans, strict=True)
        ]

    def _expect(self, part: _Part, exact: int, flag: int) -> None:
        """Check that the type of `part` is the one at `exact`, or says by `flag` that it derives from it.

        An executable can hold a copy of a library's type (a copy relocation), and names may be
        instances of a subclass of ``str``.
        """
        type_address = _word(part.prefix, self._row["object_type"])
        if type_address == exact or (type_address, flag) in self._known_types:
            return
        flags = self._memory.read(_pointer(type_address) + self._row["type_flags"], _WORD.size)
        if not _word(flags, 0) & flag:
            raise Malformed(f"object at {part.address:#x} is of another type")
        self._remember(type_address, flag)

    def _is_copied_code_type(self, type_address: int) -> bool:
        """Whether a type that is not the exported one is a copy of it: called ``code``."""
        if (type_address, _NO_FLAG) in self._known_types:
            return True
        try:
            name = self._memory.read(_pointer(type_address) + self._row["type_name"], _WORD.size)
            name_address = _pointer(_word(name, 0), alignment=1)
        except (ReadFault, Malformed):
            return False  # A type in use is resident, so this is not one: the object is freed.
        if self._memory.read(name_address, len(_CODE_TYPE_NAME)) != _CODE_TYPE_NAME:
            return False
        self._remember(type_address, _NO_FLAG)
        return True

    def _remember(self, type_address: int, flag: int) -> None:
        if len(self._known_types) < _MAX_KNOWN_TYPES:
            self._known_types.add((type_address, flag))

    def _read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Each range's bytes; raises the first error among them."""
        results = []
        for result in self._memory.read_many(ranges):
            if isinstance(result, SymbolizeError):
                raise result
            results.append(result)
        return results


def _text(data: bytes, span: _Span) -> str:
    return decode(data, span.width) if span.width else decode_bytes(data)


def _word(data: bytes, offset: int) -> int:
    (word,) = _WORD.unpack_from(data, offset)
    return int(word)


def _pointer(address: int, *, alignment: int = 8) -> int:
    """`address`, if it can be one of user space. Raises `Malformed`."""
    if not 0 < address <= ADDRESS_MASK or address % alignment:
        raise Malformed(f"{address:#x} is not an address")
    return address


def _prefix_size(address: int, least: int) -> int:
    """How much to read at `address` at first: `least` bytes, and more only up to the end of the page.

    The next page may be missing, although the object ends before it.
    """
    return max(least, min(_PREFIX_BYTES, _PAGE_BYTES - address % _PAGE_BYTES))
