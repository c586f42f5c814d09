"""The very file behind a mapping of another process, opened without following what a target could plant.

A file is first only *found* (O_PATH), which runs nothing of its file system and opens no FIFO or device. It
is opened only if it is the regular file that is mapped. Opening it, and reading from it, can still wait for
a dead FUSE or network mount: only the worker with the deadline may do so.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from symbolizers.errors import Changed, ProcessGone, Reason, SymbolizeError
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.process.open_how import FIND, find_in_root_how
from symbolizers.process.syscalls import CachedStat, cached_stat, openat2

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""Non-blocking: a file under another process's lease is refused rather than waited for (45 s)."""


class FileUnavailable(SymbolizeError):
    """A mapping's file can't be had: there is none, it is not a regular file, or we may not open it."""

    reason = Reason.UNSUPPORTED


class FoundFile(NamedTuple):
    """A regular file that was found and not opened; `status` is what the kernel has cached of it."""

    path_fd: int
    status: CachedStat

    def open(self) -> int:
        """A read-only descriptor of it, the caller's to close. Raises OSError. It may wait."""
        return os.open(f"/proc/self/fd/{self.path_fd}", _READ)


@contextmanager
def found_file(handle: ProcessHandle, mapping: Mapping) -> Iterator[FoundFile]:
    """The regular file that `mapping` maps, found in the block and not opened yet.

    By /proc/PID/map_files, which finds deleted files and those of other mount namespaces but needs
    CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; without it, by name under the process's root. Raises
    `FileUnavailable`, `Changed` when another file is there now, `ProcessGone`.
    """
    if mapping.inode == 0:
        raise FileUnavailable(f"no file is mapped at {mapping.start:#x}")
    with _held(handle, mapping.path, lambda: _find(handle, mapping)) as found:
        yield FoundFile(found, _status_of(mapping, found))


@contextmanager
def found_in_root(handle: ProcessHandle, path: str, *, owners: Collection[int]) -> Iterator[FoundFile]:
    """The regular file `path` of the process's mount namespace, if it is of one of the `owners` (uids).

    It is found in the block and not opened yet. Raises `FileUnavailable`, `ProcessGone`.
    """
    with _held(handle, path, lambda: _find_in_root(handle, os.fsencode(path))) as found:
        status = cached_stat(found)
        if not stat.S_ISREG(status.mode) or status.owner not in owners:
            raise FileUnavailable(f"{path!r} is not a regular file of its user")
        yield FoundFile(found, status)


@contextmanager
def _held(handle: ProcessHandle, path: str, find: Callable[[], int]) -> Iterator[int]:
    """What `find` has found as `path`, while the process was alive; closed behind the block.

    An OSError in the block is `FileUnavailable`, or `ProcessGone` if the process is.
    """
    try:
        found = find()
        try:
            if not handle.alive():
                raise ProcessGone(f"process {handle.id.pid} has exited")
            yield found
        finally:
            os.close(found)
    except OSError as error:
        if not handle.alive():
            raise ProcessGone(f"process {handle.id.pid} has exited") from None
        raise FileUnavailable(f"{path!r}: {error.strerror}") from None


def mapped_as(fd: int) -> tuple[tuple[int, int], int]:
    """Device and inode of an open file as /proc/PID/maps gives them, wherever it is mapped.

    They are found by mapping it here, because stat(2) has other devices on btrfs and overlay file systems.
    Raises OSError where it can't be mapped.
    """
    try:
        with mmap.mmap(fd, 1, access=mmap.ACCESS_COPY) as page, open_process(os.getpid()) as own:
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            mapping = next(each for each in read_mappings(own) if each.start == address)
    except ValueError:
        raise OSError(errno.ENODATA, "the file is empty") from None
    return mapping.device, mapping.inode


def _find(handle: ProcessHandle, mapping: Mapping) -> int:
    try:
        return os.open(f"/proc/{handle.id.pid}/map_files/{mapping.start:x}-{mapping.end:x}", FIND)
    except OSError:
        return _find_by_name(handle, mapping)


def _find_by_name(handle: ProcessHandle, mapping: Mapping) -> int:
    """The file is mapped, so the kernel has its whole path in memory. A path for which it would have to ask a
    file system is another one (or a dead server's), and gives EAGAIN at once.
    """
    # A deleted file has no name: if this name is there, the file is really called "... (deleted)".
    return _find_in_root(handle, os.fsencode(mapping.path) + (b" (deleted)" if mapping.deleted else b""))


def _find_in_root(handle: ProcessHandle, path: bytes) -> int:
    """An O_PATH descriptor. Raises OSError: EAGAIN if the kernel would have to ask a file system."""
    root = os.open(f"/proc/{handle.id.pid}/root", FIND | os.O_DIRECTORY)
    try:
        return openat2(root, path, find_in_root_how())
    finally:
        os.close(root)


def _status_of(mapping: Mapping, found: int) -> CachedStat:
    """Raises `Changed` for another inode: a file took the name, or the place in the address space. Devices
    are not compared: maps and stat(2) disagree about them on btrfs and overlay file systems.
    """
    status = cached_stat(found)
    if not stat.S_ISREG(status.mode):
        raise FileUnavailable(f"{mapping.path!r} is not a regular file")
    if status.inode != mapping.inode:
        raise Changed(f"{mapping.path!r} is another file now")
    return status
