"""Which pages of a process are present, so that only these are read. The gate before every read.

A page whose present bit is set in /proc/PID/pagemap never made a read wait, on any kernel tried; every
page that does make it wait (userfaultfd-missing, cold file on a dead mount, swapped) has it clear. Asking
brings no page: the kernel walks the page table and takes the target's mmap lock for reading, in a way
that a signal can end.

The file is read, and PAGEMAP_SCAN (Linux 6.7) is not used, because it is slower: 3.0 microseconds for 16
pages where a read takes 2.0, and 3.7 for 64 where a read takes 2.9. It is quicker only from some 500 pages
on, and no run here is that long.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

PAGE_SHIFT = os.sysconf("SC_PAGE_SIZE").bit_length() - 1
_ENTRY_BYTES = 8
_PRESENT = 0x80
"""Bit 63 of an entry: bit 7 of its last byte (the file is in the machine's order, little-endian here)."""
_BLOCK_SHIFT = 4
"""Pages are asked for in aligned blocks of 16: hardly dearer than one, and neighbours are wanted next."""
_BLOCK_PAGES = 1 << _BLOCK_SHIFT
_BLOCK_MASK = _BLOCK_PAGES - 1
_MAX_BLOCKS = 1 << 14
"""How many are remembered at most (2**18 pages, 1 GiB of address space); past it, all is asked anew."""


class Residency:
    """The present pages of one process, remembered for a short while. Lifetime: one process.

    What is remembered is right until reclaim takes the page, and the kernel promises no time before that.
    So it lasts for one drain of samples (milliseconds), and `forget` ends it.
    A page that was found missing is never remembered as such: it may have come since.

    An open pagemap belongs to the address space of the moment it was opened. After an exec the old one
    reads as empty and is opened again here; but where the old address space lives on (a child of vfork
    shares its parent's until it execs) it would go on answering for the wrong one. `forget` closes the
    file, so that this cannot outlive a drain either.
    """

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/pagemap"
        self._fd = -1
        self._blocks: dict[int, bytes] = {}

    def first_missing(self, first_page: int, last_page: int) -> int | None:
        """The first page from `first_page` to `last_page` (both included) that is not present, or None.

        Raises PermissionError, and ProcessLookupError or FileNotFoundError where no address space is left.
        """
        page = self._first_unknown(first_page, last_page)
        if page is None:
            return None
        self._ask(range(page >> _BLOCK_SHIFT, (last_page >> _BLOCK_SHIFT) + 1))
        return self._first_unknown(page, last_page)

    def look_ahead(self, runs: Iterable[tuple[int, int]]) -> None:
        """Asks for all unknown pages of the ``(first page, last page)`` runs, neighbouring ones at once.

        Raises as `first_missing` does.
        """
        unknown: set[int] = set()
        for first_page, last_page in runs:
            page = self._first_unknown(first_page, last_page)
            if page is not None:
                unknown.update(range(page >> _BLOCK_SHIFT, (last_page >> _BLOCK_SHIFT) + 1))
        for run in _neighbours(sorted(unknown)):
            self._ask(run)

    def forget(self) -> None:
        """Forgets which pages were present. To be called between drains."""
        self._blocks.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _first_unknown(self, first_page: int, last_page: int) -> int | None:
        blocks = self._blocks
        for page in range(first_page, last_page + 1):
            entries = blocks.get(page >> _BLOCK_SHIFT)
            if entries is None or not entries[page & _BLOCK_MASK] & _PRESENT:
                return page
        return None

    def _ask(self, run: range) -> None:
        if len(self._blocks) + len(run) > _MAX_BLOCKS:
            self._blocks.clear()
        size_bytes = len(run) * _BLOCK_PAGES * _ENTRY_BYTES
        # Past the end of the address space the file ends: what it does not tell is not present.
        top_bytes = self._pread(size_bytes, run.start * _BLOCK_PAGES * _ENTRY_BYTES)[7::_ENTRY_BYTES]
        top_bytes = top_bytes.ljust(len(run) * _BLOCK_PAGES, b"\0")
        for index, block in enumerate(run):
            self._blocks[block] = top_bytes[index * _BLOCK_PAGES : (index + 1) * _BLOCK_PAGES]

    def _pread(self, size_bytes: int, offset: int) -> bytes:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        entries = os.pread(self._fd, size_bytes, offset)
        # Page 0 has an entry, if a clear one, in every address space that is still there.
        if entries or os.pread(self._fd, _ENTRY_BYTES, 0):
            return entries
        self.forget()
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        entries = os.pread(self._fd, size_bytes, offset)
        if entries or os.pread(self._fd, _ENTRY_BYTES, 0):
            return entries
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), self._path)


def _neighbours(blocks: list[int]) -> Iterator[range]:
    """Sorted block numbers as runs without a hole."""
    start = 0
    for index in range(1, len(blocks) + 1):
        if index == len(blocks) or blocks[index] != blocks[index - 1] + 1:
            yield range(blocks[start], blocks[index - 1] + 1)
            start = index
