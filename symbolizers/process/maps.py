"""What a process has mapped: /proc/PID/maps as values.

The kernel takes the target's mmap lock for this file, so a target that holds it makes the read wait: only
the worker with the deadline may read it.
"""

from __future__ import annotations

import os

from msgspec import Struct

from symbolizers.errors import Malformed, ProcessGone
from symbolizers.process.identity import ProcessHandle

_LIMIT_BYTES = 16 << 20
"""About 150,000 mappings; vm.max_map_count is 65,530 unless an administrator raised it."""
_CHUNK_BYTES = 1 << 16
_DELETED = b" (deleted)"


class Mapping(Struct, frozen=True):
    """One line of /proc/PID/maps: addresses `start` to `end` (exclusive) of the target.

    `offset` is where in the file `start` lies; `device` is ``(major, minor)``, which on btrfs and overlay
    file systems is not what stat(2) says for the same file. `inode` is 0 where no file is mapped; `path` is
    then empty or a name such as ``[heap]``. `path` is as seen in the target's mount namespace, undecodable
    bytes as surrogates, without the `` (deleted)`` that `deleted` stands for.
    """

    start: int
    end: int
    readable: bool
    writable: bool
    executable: bool
    offset: int
    device: tuple[int, int]
    inode: int
    path: str
    deleted: bool = False


def read_mappings(handle: ProcessHandle, *, executable_only: bool = False) -> tuple[Mapping, ...]:
    """The mappings of a process by address; none where only threads other than the leader still run.

    The file is read as one address space's, of the program before an exec or the one after it; over more
    than one chunk, mappings may have changed in between. Raises `ProcessGone`, `Malformed` over 16 MB of
    text, and PermissionError.
    """
    try:
        text = _read_limited(f"/proc/{handle.id.pid}/maps")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(f"process {handle.id.pid} has exited") from None
    # If it still lives, the file that was read is this process's.
    if not handle.alive():
        raise ProcessGone(f"process {handle.id.pid} has exited")
    return parse_mappings(text, executable_only=executable_only)


def parse_mappings(text: bytes, *, executable_only: bool = False) -> tuple[Mapping, ...]:
    """The mappings in `text`, which is in the format of /proc/PID/maps. Raises `Malformed`."""
    try:
        return tuple(
            _mapping(fields)
            for fields in (line.split(b" ", 5) for line in text.split(b"\n") if line)
            if not executable_only or fields[1][2:3] == b"x"
        )
    except (ValueError, IndexError):
        raise Malformed("a line of maps that no kernel writes") from None


def _mapping(fields: list[bytes]) -> Mapping:
    start, _, end = fields[0].partition(b"-")
    major, _, minor = fields[3].partition(b":")
    # The kernel pads to the name's column, and escapes only the newline. It leaves a backslash in a name
    # alone, so a name can pretend to hold a newline: files.py compares inodes.
    path = fields[5].lstrip(b" ").replace(b"\\012", b"\n") if len(fields) > 5 else b""
    return Mapping(
        start=int(start, 16),
        end=int(end, 16),
        readable=fields[1][0:1] == b"r",
        writable=fields[1][1:2] == b"w",
        executable=fields[1][2:3] == b"x",
        offset=int(fields[2], 16),
        device=(int(major, 16), int(minor, 16)),
        inode=int(fields[4]),
        path=os.fsdecode(path.removesuffix(_DELETED)),
        deleted=path.endswith(_DELETED),
    )


def _read_limited(path: str) -> bytes:
    """The whole of a /proc file. Raises `Malformed` past the limit, OSError."""
    chunks: list[bytes] = []
    left_bytes = _LIMIT_BYTES
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            chunks.append(chunk)
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise Malformed(f"{path} is longer than {_LIMIT_BYTES} bytes")
    return b"".join(chunks)
