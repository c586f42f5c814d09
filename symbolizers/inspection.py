"""What the worker tells about a process: plain values, cheap to import where no process is touched."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from symbolizers.base import Interpreter
from symbolizers.process.identity import ProcessId

UNKNOWN_OWNER = -1
CHUNK_ROWS = 512
CHUNK_BYTES = 10 * CHUNK_ROWS
MOST_CHUNKS = 2048
"""Of the unwind table of one file, see `make_chunks`: as profiler/bpf has them."""
MOST_MAPPINGS = 4096
"""Of the code of one process: where it maps more, its files take turns."""


class FileKey(NamedTuple):
    """What tells a file, and one version of it, from all others.

    For a file that the worker has opened through a mapping, it is what statx(2) says of that descriptor:
    `device` (major and minor) and `inode`, and as `version` size (bytes), mtime and ctime (ns). For one that
    the kernel has told of, it is what a side-band record says: `version` is the inode's generation alone. One
    file may have a key of either kind. The `owner` (uid) of an opened one says who can have written it.
    """

    device: tuple[int, int]
    inode: int
    version: tuple[int, ...]
    owner: int = UNKNOWN_OWNER

    @property
    def is_told(self) -> bool:
        """Whether the kernel has told of it."""
        return len(self.version) == 1

    @property
    def is_opened(self) -> bool:
        """Whether the worker has opened it."""
        return len(self.version) == 3

    @property
    def is_generated(self) -> bool:
        """Whether it stands for the code that a process generates, see `generated_by`."""
        return len(self.version) == 2


class KernelKey(NamedTuple):
    """What the sampler in the kernel knows a file by: `device` (major and minor), inode, and ctime (ns)."""

    device: tuple[int, int]
    inode: int
    changed_ns: int


class IdentifiedFile(NamedTuple):
    """What the kernel knows a file by, and who (uid) can have written it."""

    key: KernelKey
    owner: int


VDSO = FileKey((0, 0), 0, ())
"""Stands for the kernel's ``[vdso]``, which is no file but the same code in every process."""
IDENTIFIED_VDSO = IdentifiedFile(KernelKey((0, 0), 0, 0), owner=0)


def generated_by(process: ProcessId, user: int, forked_from: int = 0) -> FileKey:
    """Stands for the code that a process of `user` generates: its offsets are addresses.

    `forked_from`: the pid of the process that it was seen to be forked from, whose program it still runs.
    """
    return FileKey((0, 0), process.pid, (process.start_ticks, forked_from), user)


def process_of(generated: FileKey) -> ProcessId:
    """The process that has generated the code which the key stands for."""
    return ProcessId(generated.inode, generated.version[0])


def generated_key(process: ProcessId) -> KernelKey:
    """What the sampler in the kernel knows the code by that a process generates: no file has this device."""
    return KernelKey((0xFFF, 0xFFFFF), 0, process.start_ticks * 1_000_000_000 + process.pid)


class CodeMapping(NamedTuple):
    """One executable mapping: addresses ``start`` to ``end``, from ``offset`` of a file on.

    `file` is None for memory without a file; `path` as in /proc/PID/maps.
    """

    start: int
    end: int
    offset: int
    file: FileKey | None
    path: str


class Unsupported(Struct, frozen=True):
    """An interpreter that no layout row describes: the `Inspection`'s notes say the same to people."""

    language: str
    version: str
    supported: str


class FileContents(Struct, frozen=True):
    """What a `file` that the kernel tells of holds, in whichever process it is mapped.

    The `owner` (uid) can have written it. Its code is mapped at `code_distance` + offset + bias; the
    `interpreters` in it are those of bias 0.
    """

    file: FileKey
    owner: int
    code_distance: int
    interpreters: tuple[Interpreter, ...]
    notes: tuple[str, ...]


class Inspection(Struct, frozen=True):
    """What must be known about a process before any of its samples can be named."""

    process: ProcessId
    mappings: tuple[CodeMapping, ...]
    """Sorted by address, `MOST_MAPPINGS` at most."""
    interpreters: tuple[Interpreter, ...]
    notes: tuple[str, ...]
    unsupported: tuple[Unsupported, ...] = ()
    files: tuple[FileContents, ...] = ()
    """Those of the mapped files that could be looked into and that the kernel may tell of."""
