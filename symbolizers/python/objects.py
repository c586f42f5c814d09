"""Reads CPython's plain objects, strings and numbers, from the memory of a process."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from symbolizers.base import AddressSpace
from symbolizers.errors import Malformed, SymbolizeError
from symbolizers.frame import ADDRESS_MASK
from symbolizers.layout import Row
from symbolizers.python.strings import decode, parse_head

MAX_TEXT_CHARACTERS: Final = 256

INT_FLAG: Final = 1 << 24
STR_FLAG: Final = 1 << 28
"""Bits of ``tp_flags`` (Include/object.h): what a type derives from."""

_MAX_KNOWN_TYPES: Final = 64
_WORD: Final = struct.Struct("<Q")
_DIGITS: Final = struct.Struct("<II")


class PythonObjects:
    """Reads objects of one process. Lifetime: its address space.

    `row` is one of `symbolizers.python.layouts`, `places` one with more numbers, at least those of ints.
    All methods raise `ReadFault` or `Malformed`. The process goes on meanwhile: what is read may be torn.
    """

    def __init__(self, row: Row, places: Row, memory: AddressSpace) -> None:
        self.row = row
        self.places = places
        self.memory = memory
        self._known_flags: dict[int, int] = {}

    def word(self, address: int) -> int:
        """The 8 bytes at `address`."""
        return word_in(self.memory.read(checked(address), _WORD.size), 0)

    def flags(self, address: int) -> int:
        """The flags of the type of the object at `address`."""
        return self._type_flags(self.word(checked(address) + self.row["object_type"]))

    def expect(self, address: int, flag: int) -> int:
        """The flags of the type of the object at `address`, of which `flag` must be one."""
        flags = self.flags(address)
        if not flags & flag:
            raise Malformed(f"object at {address:#x} is of another type")
        return flags

    def text(self, address: int) -> str:
        """The ``str`` at `address`, or its start."""
        self.expect(address, STR_FLAG)
        head = parse_head(self.row, self.memory.read(address, self.row["unicode_ascii_data"]))
        at = address + head.data_offset
        if head.indirect:
            at = self.word(at)
        size = min(head.length, MAX_TEXT_CHARACTERS) * head.width
        return decode(self.memory.read(checked(at), size), head.width) if size else ""

    def integers(self, addresses: Sequence[int]) -> list[int]:
        """Each ``int`` of one digit (of 30 bits) or two, as addresses have; 0 in place of anything else."""
        size = max(self.places["int_digits"] + _DIGITS.size, self.row["object_type"] + _WORD.size)
        objects = self.memory.read_many([(checked(address), size) for address in addresses])
        return [self._integer(each) if isinstance(each, bytes) else 0 for each in objects]

    def _integer(self, data: bytes) -> int:
        with suppress(SymbolizeError):
            if self._type_flags(word_in(data, self.row["object_type"])) & INT_FLAG:
                return self._digits(data)
        return 0

    def _digits(self, data: bytes) -> int:
        count = word_in(data, self.places["int_size"]) >> self.places["int_size_bit"]
        low, high = _DIGITS.unpack_from(data, self.places["int_digits"])
        return int({1: low, 2: low | high << 30}.get(count, 0))

    def _type_flags(self, address: int) -> int:
        flags = self._known_flags.get(address)
        if flags is None:
            flags = self.word(checked(address) + self.row["type_flags"])
            if len(self._known_flags) < _MAX_KNOWN_TYPES:
                self._known_flags[address] = flags
        return flags


def word_in(data: bytes, offset: int) -> int:
    """The 8 bytes of `data` at `offset`."""
    (word,) = _WORD.unpack_from(data, offset)
    return int(word)


def checked(address: int) -> int:
    """`address`, if it can be one of user space. Raises `Malformed`."""
    if not 0 < address <= ADDRESS_MASK:
        raise Malformed(f"{address:#x} is not an address")
    return address
