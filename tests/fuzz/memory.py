"""Memory of a target that lies: forged structures with words changed, or the input itself, over and over."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from symbolizers.errors import FaultReason, Malformed, ReadFault, SymbolizeError
from symbolizers.process.memory import ADDRESS_LIMIT, READ_LIMIT_BYTES
from tests.support.reads import read_each

PAGE_BYTES: Final = 4096
READ_BYTES_LIMIT: Final = 64 << 20
"""What all reads for one input may come to."""

CHANGE: Final = struct.Struct("<HBQ")
"""A changed word: its number among those that are there, how, and a number."""
_SET, _POINT, _ADD, _FAULT = range(4)
_ENDLESS: Final = 1
"""A bit of an input's second byte: pages that are not there repeat a page that is."""


class Lying:
    """An `AddressSpace` with the limits of the nowait reader. `pages` are present, by number."""

    def __init__(self, pages: Mapping[int, bytes], *, endless: bool = False) -> None:
        self._pages = dict(pages)
        self._beyond = next(iter(pages.values())) if endless else None
        self.read_bytes = 0

    def put(self, address: int, word: int) -> None:
        """Writes 8 bytes that lie on one page."""
        page, offset = divmod(address, PAGE_BYTES)
        content = bytearray(self._pages[page])
        content[offset : offset + 8] = (word % (1 << 64)).to_bytes(8, "little")[: PAGE_BYTES - offset]
        self._pages[page] = bytes(content)

    def evict(self, address: int) -> None:
        """The page of `address` is no more."""
        self._pages.pop(address // PAGE_BYTES, None)

    def read(self, address: int, size: int) -> bytes:
        """As the nowait reader."""
        if not 0 <= size <= READ_LIMIT_BYTES:
            raise Malformed(f"a read of {size} bytes")
        if address < 0 or address + size > ADDRESS_LIMIT:
            raise ReadFault(address, FaultReason.BAD_ADDRESS)
        self.read_bytes += size
        assert self.read_bytes <= READ_BYTES_LIMIT, "the reader reads without an end"
        first, offset = divmod(address, PAGE_BYTES)
        last = (address + size - 1) // PAGE_BYTES
        data = b"".join(self._page(number) for number in range(first, last + 1))
        return data[offset : offset + size]

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        """Each range as `read` gives it."""
        return read_each(self.read, ranges)

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number, self._beyond)
        if page is None:
            raise ReadFault(number * PAGE_BYTES, FaultReason.WOULD_FAULT)
        return page


class Image:
    """Forged structures, as they should be; `words` are the addresses of all that is in them."""

    def __init__(self, pages: Mapping[int, bytes | bytearray]) -> None:
        self.pages = {number: bytes(page) for number, page in pages.items()}
        self.words = tuple(
            number * PAGE_BYTES + offset
            for number, page in sorted(self.pages.items())
            for offset in range(0, PAGE_BYTES, 8)
            if any(page[offset : offset + 8])
        )

    def with_lies(self, data: bytes) -> Lying:
        """The memory with the changes that are in `data`: see `changes`. Its first byte is not looked at."""
        memory = Lying(self.pages, endless=bool(data[1:2] and data[1] & _ENDLESS))
        for where, how, number in changes(data):
            address = self.words[where % len(self.words)]
            if how == _FAULT:
                memory.evict(address)
                continue
            value = {
                _SET: number,
                _POINT: self.words[number % len(self.words)] - 8 * (number >> 60),
                _ADD: int.from_bytes(memory.read(address, 8), "little") + number,
            }
            try:
                memory.put(address, value[how])
            except KeyError:  # its page was evicted
                continue
        return memory


def changes(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Which word, how it changes (one of four ways, `_FAULT` seldom), and the number in it."""
    for at in range(2, len(data) - CHANGE.size + 1, CHANGE.size):
        where, how, number = CHANGE.unpack_from(data, at)
        yield where, (_FAULT if how == 255 else how % 3), number


def seeds(variants: int) -> list[bytes]:
    """For each of the variants the whole truth, and a few lies; endless memory and memory with an end."""
    found = []
    for variant in range(variants):
        found += [bytes([variant, 0]), bytes([variant, _ENDLESS])]
        found.append(bytes([variant, 0]) + b"".join(CHANGE.pack(7 * n, n, n << 40 | 5) for n in range(6)))
    return found


class Mirror(Lying):
    """The content is there over and over: any pointer leads somewhere."""

    def __init__(self, content: bytes) -> None:
        super().__init__({0: b""})
        self._content = content or b"\0"

    def _page(self, number: int) -> bytes:
        start = number * PAGE_BYTES % len(self._content)
        return (self._content[start:] + self._content * (PAGE_BYTES // len(self._content) + 1))[:PAGE_BYTES]
