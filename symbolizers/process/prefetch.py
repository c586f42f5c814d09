"""Brings pages that a target lacks, where that cannot wait: from swap in memory (zram), from the page cache.

The reader does not read a page that would fault. Two ways to bring such a page were tried on Linux 6.18:

- ``process_madvise(MADV_WILLNEED)`` is not used. It leaves the page not present: what it brings goes to the
  page cache or the swap cache, and the page table, which is all that the reader's gate can see, stays as it
  is; no call tells when such a page has come. It also waits (D state) on a mapping of a FUSE file whose
  server answers no reads: at once if the server has no asynchronous reads, else when as many are under way
  as the server allows. And it does not bring a page of a private file mapping that was written to and then
  swapped.
- Reading one byte of a *swapped* page makes it present, whatever is mapped there: the file is not asked. With
  swap in memory the kernel unpacks the page within that call, which takes some 40 us.

So pages in such swap are brought, by reading them. So are pages of the interpreter's own file that are in the
page cache (a read of the file that may not wait shows this) and only lack their entry in the target's page
table: constants that a fork has not used yet, say, since it inherits no such entries. Other pages stay
missing until the target itself needs them. A read of a page that was swapped to a disk waits for the disk,
one of another file's for the file system, which may be a dead mount, and one of a page that was never
touched, or is behind a userfaultfd, for the target. Such a page can take the place of one that is to be
brought, between the look and the read: the worker's deadline is for this race, as for the reader's own.

A page that is brought counts as the target's memory, and its cgroup's, as if the target had touched it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from symbolizers.process.identity import ProcessHandle
from symbolizers.process.memory import NowaitReader
from symbolizers.process.pagemap import PAGE_SHIFT

MAX_PAGES = 64
"""The most that one `bring` brings: each makes the target larger by a page."""

_SWAPS = Path("/proc/swaps")
_ZRAM = re.compile(r"/dev/(zram\d+)")
_ENTRY_BYTES = 8
_PRESENT = 1 << 63
_SWAPPED = 1 << 62
_ELSEWHERE = 1 << 56 | 1 << 57 | 1 << 58 | 1 << 61
"""A page with any of these bits may look swapped but lies elsewhere: in a device or a file, behind a marker
of a userfaultfd or a guard (fs/proc/task_mmu.c: PM_MMAP_EXCLUSIVE, PM_UFFD_WP, PM_GUARD_REGION, PM_FILE)."""


class Swap(str, Enum):
    """Where this machine's swapped pages are: nowhere, all of them in memory, or some on a disk."""

    NONE = "none"
    MEMORY = "memory"
    DISK = "disk"


class FilePart(NamedTuple):
    """A part of an open file that a process maps: at `start` to `end` the bytes from `offset` on."""

    start: int
    end: int
    fd: int
    offset: int


def swap_kind(swaps: Path = _SWAPS) -> Swap:
    """The kind of swap that is in use now, from the table in /proc/swaps."""
    try:
        devices = [line.split()[0] for line in swaps.read_text().splitlines()[1:] if line.strip()]
    except FileNotFoundError:
        return Swap.NONE
    if not devices:
        return Swap.NONE
    return Swap.MEMORY if all(map(_in_memory, devices)) else Swap.DISK


def bring(
    handle: ProcessHandle, memory: NowaitReader, addresses: Iterable[int], parts: Sequence[FilePart] = ()
) -> int:
    """Brings the pages at `addresses` that are swapped to memory, or cached and in `parts`; returns how many.

    It brings at most `MAX_PAGES`, and none that could wait. Zero if the process or our right to look is gone.
    """
    pages = sorted({address >> PAGE_SHIFT for address in addresses})[:MAX_PAGES]
    if not pages or not handle.alive():
        return 0
    unpacks = swap_kind() is Swap.MEMORY
    try:
        entries = _entries(handle.id.pid, pages)
    except OSError:
        return 0
    found = [
        page << PAGE_SHIFT
        for page, entry in zip(pages, entries, strict=True)
        if (unpacks and _is_swapped(entry))
        or (not entry & (_PRESENT | _SWAPPED) and _is_cached(page << PAGE_SHIFT, parts))
    ]
    return sum(map(memory.touch, found))


def _in_memory(device: str) -> bool:
    """Whether a line of /proc/swaps is of a zram device that writes nothing to a disk behind it."""
    match = _ZRAM.fullmatch(device)
    if match is None:
        return False
    try:
        return Path(f"/sys/block/{match[1]}/backing_dev").read_text().strip() == "none"
    except FileNotFoundError:  # a kernel without CONFIG_ZRAM_WRITEBACK
        return Path(f"/sys/block/{match[1]}").exists()


def _entries(pid: int, pages: list[int]) -> list[int]:
    """What pagemap says about `pages`. Raises OSError."""
    pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = [os.pread(pagemap, _ENTRY_BYTES, page * _ENTRY_BYTES) for page in pages]
    finally:
        os.close(pagemap)
    return [int.from_bytes(entry, "little") for entry in found]


def _is_swapped(entry: int) -> bool:
    """A page that the kernel is moving looks the same without CAP_SYS_ADMIN: reading it waits for the kernel
    to have moved it, not for the target.
    """
    return entry & (_PRESENT | _SWAPPED | _ELSEWHERE) == _SWAPPED


def _is_cached(address: int, parts: Sequence[FilePart]) -> bool:
    """Whether the page at `address` is one of a file that is in the page cache. Waits for no file system."""
    for part in parts:
        at = max(address, part.start)
        if at < min(address + (1 << PAGE_SHIFT), part.end):
            try:
                return os.preadv(part.fd, [bytearray(1)], part.offset + at - part.start, os.RWF_NOWAIT) == 1
            except OSError:  # not in memory, or a file system that can't say
                return False
    return False
