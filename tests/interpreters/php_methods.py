"""The methods of a PHP process that stands still, found from outside by its table of classes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import Row
from symbolizers.php.kinds import PHP_FUNCTION
from symbolizers.php.language import PhpFile, PhpLanguage
from symbolizers.process.identity import ProcessHandle
from symbolizers.process.maps import read_mappings

# The same from 7.4 to 8.5.
_CLASS_TABLE_TO_CURRENT_FRAME = 48
_CLASS_NAME = 8
_CLASS_FUNCTIONS = 64
_TABLE_BUCKETS = 16
_TABLE_USED = 24
_BUCKET = struct.Struct("<QB15xQ")
"""The value in a bucket of a table; its type, 0 for none; and its key, a string."""
_FUNCTION_NAME = 8
_FUNCTION_SCOPE = 16
_STRING_LENGTH = 16
_STRING_TEXT = 24
_USER = 2
"""How a class or a function begins that is written in PHP."""


class Method(NamedTuple):
    """A method as the walker would capture it at its first opcode, how many it has, and its last line."""

    frame: RawFrame
    opcodes: int
    last_line: int


def find_php(handle: ProcessHandle) -> tuple[PhpFile, Interpreter]:
    """The PHP that a process maps."""
    for mapping in read_mappings(handle, executable_only=True):
        if mapping.path.startswith("/"):
            with open(f"/proc/{handle.id.pid}/root{mapping.path}", "rb") as stream:
                elf = ElfFile.from_fd(stream.fileno())
                file = PhpLanguage().recognise(elf)
                if file is not None:
                    return file, file.attach(elf.bias(mapping.start, mapping.offset))
    raise AssertionError("the process maps no PHP")


def methods(row: Row, memory: AddressSpace, root: int) -> Iterator[tuple[str, list[Method]]]:
    """The name and the methods of each class that has any.

    `root` is the address of ``executor_globals``. Methods of a parent are among those of its children, too. A
    class that was compiled but not declared, since its parents are missing, has a key that begins with NUL.
    """
    class_table = _number(memory, root + row["current_frame"] - _CLASS_TABLE_TO_CURRENT_FRAME, 8)
    for class_entry, key in _items(memory, class_table):
        if memory.read(class_entry, 1)[0] == _USER and memory.read(key + _STRING_TEXT, 1) != b"\0":
            functions = [function for function, _ in _items(memory, class_entry + _CLASS_FUNCTIONS)]
            own = [each for each in functions if memory.read(each, 1)[0] == _USER]
            if own:
                name = _string(memory, _number(memory, class_entry + _CLASS_NAME, 8))
                yield name, [_method(row, memory, each) for each in own]


def _method(row: Row, memory: AddressSpace, function: int) -> Method:
    opcodes = _number(memory, function + row["function_opcodes"], 8)
    count = _number(memory, function + row["function_last"], 4)
    lines = _number(memory, function + row["function_lines"], 8)
    words = [
        opcodes,
        _number(memory, function + _FUNCTION_NAME, 8),
        _number(memory, function + _FUNCTION_SCOPE, 8),
        _number(memory, function + row["function_filename"], 8),
        lines,
        count,
    ]
    frame = RawFrame(PHP_FUNCTION << CAPTURE_KIND_SHIFT | opcodes, 0, checksum(words), function)
    return Method(frame, count, lines >> 32)


def _items(memory: AddressSpace, table: int) -> Iterator[tuple[int, int]]:
    """Value and key of each entry of a hash table, in order."""
    used = _number(memory, table + _TABLE_USED, 4)
    if used:
        buckets = memory.read(_number(memory, table + _TABLE_BUCKETS, 8), used * _BUCKET.size)
        yield from ((value, key) for value, kind, key in _BUCKET.iter_unpack(buckets) if kind)


def _number(memory: AddressSpace, address: int, size: int) -> int:
    return int.from_bytes(memory.read(address, size), "little")


def _string(memory: AddressSpace, address: int) -> str:
    return memory.read(address + _STRING_TEXT, _number(memory, address + _STRING_LENGTH, 8)).decode()
