"""CPython: recognises the interpreter in an ELF file, and reads the code objects of a process."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, Malformed, SymbolizeError, UnsupportedVersion
from symbolizers.frame import ADDRESS_MASK, CodeObject, FrameKind, RawFrame
from symbolizers.layouts.cpython import LAYOUTS
from symbolizers.layouts.row import Row
from symbolizers.python_lines import decode_locations
from symbolizers.python_strings import MAX_LENGTH, decode, parse_head

MAX_NAME_CHARACTERS: Final = 1024
MAX_FILE_CHARACTERS: Final = 4096
MAX_LINE_TABLE_BYTES: Final = 1 << 20

_PAGE_BYTES: Final = 4096
_PREFIX_BYTES: Final = 256
_MAX_REFERENCES: Final = 1 << 32
_STR_FLAG: Final = 1 << 28
_BYTES_FLAG: Final = 1 << 27
_MAX_KNOWN_TYPES: Final = 64
_CODE_TYPE_NAME: Final = b"code\0"

_WORD: Final = struct.Struct("<Q")
_LINE: Final = struct.Struct("<i")

LineTable = tuple[tuple[int, ...], tuple[int, ...]]
_LINE_TABLES: Final[Mapping[str, Callable[[bytes, int], LineTable]]] = MappingProxyType(
    {"locations": decode_locations}
)
"""The decoder that a row's capability ``line_table`` names."""

_RELEASE_LEVELS: Final = {0xA: "a", 0xB: "b", 0xC: "rc", 0xF: ""}
_FIRST_STABLE_LEVEL: Final = 0xC
"""Structures still change in alphas and betas, so that no row describes these."""


class PythonLanguage:
    """Recognises CPython: a static executable, libpython, or a program that embeds it."""

    name = "python"

    def recognise(self, elf: ElfFile) -> PythonFile | None:
        """The CPython in `elf`, or None. Raises `UnsupportedVersion`, or `Malformed` for a broken file."""
        root = _symbol_address(elf, "_PyRuntime")
        version = _symbol_address(elf, "Py_Version")
        if not root or not version:
            # 3.7 to 3.10 have a runtime without its version; up to 3.6 this variable is the root.
            if root or _symbol_address(elf, "_PyThreadState_Current"):
                raise UnsupportedVersion("Python", "older than 3.11", LAYOUTS.supported)
            return None
        number = int.from_bytes(elf.read(version, 4), "little")
        row = LAYOUTS.find((number >> 24, number >> 16 & 0xFF, number >> 8 & 0xFF))
        if row is None or (number >> 4 & 0xF) < _FIRST_STABLE_LEVEL:
            raise UnsupportedVersion("Python", _version_text(number), LAYOUTS.supported)
        loop = elf.symbol("_PyEval_EvalFrameDefault")
        return PythonFile(
            version=_version_text(number),
            row=row,
            root=root,
            loop=(loop.address, loop.address + loop.size) if loop is not None and loop.size else (0, 0),
            types=_Types(*(_symbol_address(elf, f"Py{name}_Type") for name in ("Code", "Unicode", "Bytes"))),
        )


def _symbol_address(elf: ElfFile, name: str) -> int:
    """Where the file puts the symbol `name`, 0 where it defines none."""
    symbol = elf.symbol(name)
    return symbol.address if symbol is not None else 0


def _version_text(number: int) -> str:
    """``3.11.2`` or ``3.11.0rc1`` from a hexversion, as `sys.hexversion` has it."""
    text = ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8))
    level = number >> 4 & 0xF
    return text if level == 0xF else f"{text}{_RELEASE_LEVELS.get(level, '?')}{number & 0xF}"


@dataclass(frozen=True, slots=True)
class _Types:
    """Addresses of the types that code objects and their parts must have, 0 where not exported."""

    code: int
    str: int
    bytes: int

    def at(self, bias: int) -> _Types:
        return _Types(*(address and address + bias for address in (self.code, self.str, self.bytes)))


@dataclass(frozen=True)
class PythonFile:
    """CPython in one ELF file; all addresses are the file's own, before a load bias."""

    version: str
    row: Row
    root: int
    loop: tuple[int, int]
    types: _Types

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""
        start, end = self.loop
        return Interpreter(
            language=PythonLanguage.name,
            version=self.version,
            layout=self.row.name,
            root=self.root + bias,
            loop=(start + bias, end + bias) if end else (0, 0),
        )

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> PythonSymbolizer:
        """A reader of the code objects of one process, with their line tables if `lines`."""
        return PythonSymbolizer(self.row, memory, self.types.at(interpreter.root - self.root), lines=lines)


class PythonSymbolizer:
    """Reads code objects of one process. Lifetime: the process's address space; holds no text."""

    def __init__(self, row: Row, memory: AddressSpace, types: _Types, *, lines: bool) -> None:
        self._row = row
        self._memory = memory
        self._types = types
        self._known_types: set[tuple[int, int]] = set()
        self._lines = lines
        self._line_table = _LINE_TABLES[row.capabilities["line_table"]]
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
        return CodeObject(FrameKind.PYTHON, name, file, max(first_line, 0), starts, lines)

    def _code_head(self, address: int) -> bytes:
        """The code object up to the end of its checked region; `Changed` where there is none (now).

        A freed object keeps most of its bytes: the allocator writes its list of free blocks over the
        reference count, which then is 0 or looks like an address.
        """
        head = self._memory.read(address, self._checked.stop)
        if not 0 < _word(head, self._row["object_refcount"]) < _MAX_REFERENCES:
            raise Changed(f"object at {address:#x} is freed")
        type_address = _word(head, self._row["object_type"])
        if type_address != self._types.code and not self._is_named_code(type_address):
            raise Changed(f"object at {address:#x} is not a code object")
        return head

    def _parts(self, head: bytes) -> tuple[str, str, bytes]:
        """File, qualified name and line table (empty unless asked for) of the code object."""
        names = ["code_filename", "code_qualname"] + ["code_linetable"] * self._lines
        objects = [_pointer(_word(head, self._row[name])) for name in names]
        least_bytes = [self._row["unicode_ascii_data"]] * 2 + [self._row["bytes_data"]] * self._lines
        prefixes = self._read_many(
            [(address, _prefix_size(address, least)) for address, least in zip(objects, least_bytes, strict=True)]
        )
        file_head, name_head = prefixes[:2]
        spans = [
            self._string_span(objects[0], file_head, MAX_FILE_CHARACTERS),
            self._string_span(objects[1], name_head, MAX_NAME_CHARACTERS),
        ]
        spans += [self._bytes_span(objects[2], prefix) for prefix in prefixes[2:]]
        data = self._contents(list(zip(objects, prefixes, strict=True)), [span[:2] for span in spans])
        table = data[2] if self._lines else b""
        return decode(data[0], spans[0][2]), decode(data[1], spans[1][2]), table

    def _string_span(self, address: int, head: bytes, limit: int) -> tuple[int, int, int]:
        """Where the characters of the ``str`` at `address` are: address, bytes, bytes a character."""
        self._expect(address, _word(head, self._row["object_type"]), self._types.str, _STR_FLAG)
        string = parse_head(self._row, head)
        data = address + string.data_offset
        if string.indirect:
            data = _pointer(_word(self._memory.read(data, _WORD.size), 0), alignment=string.width)
        return data, min(string.length, limit) * string.width, string.width

    def _bytes_span(self, address: int, head: bytes) -> tuple[int, int, int]:
        """Where the contents of the ``bytes`` at `address` are; of no length where they are too long.

        Half a line table would name wrong lines, none names the first line.
        """
        self._expect(address, _word(head, self._row["object_type"]), self._types.bytes, _BYTES_FLAG)
        size = _word(head, self._row["bytes_size"])
        if size > MAX_LENGTH:
            raise Malformed(f"a line table of {size} bytes")
        return address + self._row["bytes_data"], size if size <= MAX_LINE_TABLE_BYTES else 0, 1

    def _contents(
        self, prefixes: Sequence[tuple[int, bytes]], spans: Sequence[tuple[int, int]]
    ) -> list[bytes]:
        """The bytes of each ``(address, size)`` span, read only where they are not in its prefix."""
        contents = []
        missing = []
        for (start, prefix), (address, size) in zip(prefixes, spans, strict=True):
            offset = address - start
            found = prefix[offset : offset + size] if 0 <= offset <= len(prefix) else b""
            contents.append(found)
            if len(found) < size:
                missing.append((address + len(found), size - len(found)))
        rest = iter(self._read_many(missing) if missing else [])
        return [
            found if len(found) == size else found + next(rest)
            for found, (_, size) in zip(contents, spans, strict=True)
        ]

    def _expect(self, address: int, type_address: int, exact: int, flag: int) -> None:
        """Check that the type at `type_address` is `exact` or says by `flag` that it derives from it.

        An executable can hold a copy of a library's type (a copy relocation), and names may be
        instances of a subclass of ``str``.
        """
        if type_address == exact or (type_address, flag) in self._known_types:
            return
        flags = self._memory.read(_pointer(type_address) + self._row["type_flags"], _WORD.size)
        if not _word(flags, 0) & flag:
            raise Malformed(f"object at {address:#x} is of another type")
        self._remember(type_address, flag)

    def _is_named_code(self, type_address: int) -> bool:
        """Whether a type that is not the exported one is a copy of it: called ``code``."""
        if (type_address, 0) in self._known_types:
            return True
        name = self._memory.read(_type_pointer(type_address) + self._row["type_name"], _WORD.size)
        if self._memory.read(_type_pointer(_word(name, 0), alignment=1), 5) != _CODE_TYPE_NAME:
            return False
        self._remember(type_address, 0)
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

    The next page may not be there although the object ends before it.
    """
    return max(least, min(_PREFIX_BYTES, _PAGE_BYTES - address % _PAGE_BYTES))
