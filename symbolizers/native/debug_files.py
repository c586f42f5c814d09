"""The file that distributions keep beside a stripped one, with its symbols: found by build id or debug link.

It is looked for where GDB does ("Debugging Information in Separate Files" in its manual), in the file system
of the process that maps the stripped file, and in our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed, ProcessGone
from symbolizers.native.unnamed import is_memory_file
from symbolizers.process.files import FileUnavailable, found_in_root
from symbolizers.process.identity import open_process

_ROOT = "/usr/lib/debug"


class DebugFile:
    """An opened one. Lifetime: until `close`."""

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor. Raises `Malformed`; then it stays the caller's."""
        self.elf = ElfFile.from_fd(fd)
        self._fd = fd

    def close(self) -> None:
        os.close(self._fd)


def find_debug_file(
    elf: ElfFile, path: str, owner: int, mapped_by: int | None, fetched: str = ""
) -> DebugFile | None:
    """The debug file of `elf`, mapped as `path` (by that process), if it lacks symbols and one is installed.

    It has the same build id, and is a regular file of root's or of the `owner` of the stripped file.
    `fetched` is the folder of our own with files that were fetched.
    """
    if not elf.build_id or elf.has_symbol_table() or is_memory_file(path):
        return None
    if fetched and (opened := find_fetched(elf, fetched)) is not None:
        return opened
    for candidate in _candidates(elf, path):
        opened = _open_here(candidate) or _open_there(candidate, owner, mapped_by)
        if opened is not None:
            if opened.elf.build_id == elf.build_id:
                return opened
            opened.close()
    return None


def find_fetched(elf: ElfFile, folder: str) -> DebugFile | None:
    """The debug file of `elf` in our own `folder`, if it was fetched."""
    with suppress(OSError, Malformed):
        fd = os.open(f"{folder}/{elf.build_id.hex()}.debug", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        opened = _debug_file(fd)
        if opened.elf.build_id == elf.build_id:
            return opened
        opened.close()
    return None


def _candidates(elf: ElfFile, path: str) -> Iterator[str]:
    name = elf.build_id.hex()
    yield f"{_ROOT}/.build-id/{name[:2]}/{name[2:]}.debug"
    link = elf.debug_link()
    if link and path.startswith("/"):
        folder = os.path.dirname(path)
        yield from (f"{_ROOT}{folder}/{link}", f"{folder}/.debug/{link}", f"{folder}/{link}")


def _open_here(path: str) -> DebugFile | None:
    """In root's folder for such files alone: to look into another one may wait."""
    if not path.startswith(_ROOT):
        return None
    with suppress(OSError, Malformed):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return _debug_file(fd)
    return None


def _open_there(path: str, owner: int, pid: int | None) -> DebugFile | None:
    """In the file system of that process, as far as the kernel knows it without a wait."""
    if pid is None:
        return None
    with suppress(FileUnavailable, ProcessGone, OSError, Malformed):
        with open_process(pid) as handle, found_in_root(handle, path, owners=(0, owner)) as found:
            fd = found.open()
        return _debug_file(fd)
    return None


def _debug_file(fd: int) -> DebugFile:
    """Raises `Malformed`."""
    try:
        return DebugFile(fd)
    except BaseException:
        os.close(fd)
        raise
