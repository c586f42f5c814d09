"""An address space that reads a live one at first, and then repeats what was read, with lies in it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from symbolizers.base import AddressSpace
from symbolizers.errors import FaultReason, ReadFault, SymbolizeError
from tests.support.reads import read_each


class Recorded:
    """A process's memory as it was read, byte by byte; or that with some words `changed`."""

    def __init__(self, live: AddressSpace) -> None:
        self._live: AddressSpace | None = live
        self._held: dict[int, int] = {}
        self._changed: dict[int, int] = {}
        self.ranges = 0

    def end(self) -> None:
        """From now on, reads of anything else fault."""
        self._live = None

    def words(self) -> list[int]:
        """The addresses of what is held."""
        return sorted({address & ~7 for address in self._held})

    def change(self, words: Mapping[int, int]) -> None:
        self._changed = {
            address + index: byte
            for address, word in words.items()
            for index, byte in enumerate(struct.pack("<Q", word))
        }
        self.ranges = 0

    def read(self, address: int, size: int) -> bytes:
        assert 0 < size < 1 << 22
        self.ranges += 1
        if self._live is not None:
            data = self._live.read(address, size)
            self._held.update(enumerate(data, address))
            return data
        changed = bytearray()
        for at in range(address, address + size):
            byte = self._changed.get(at, self._held.get(at))
            if byte is None:
                raise ReadFault(at, FaultReason.WOULD_FAULT)
            changed.append(byte)
        return bytes(changed)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        return read_each(self.read, ranges)
