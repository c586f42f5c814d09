"""Frames for native addresses without a name: all that a mapping itself tells."""

from __future__ import annotations

import os
from functools import lru_cache

from symbolizers.frame import NATIVE, Frame

MAX_NAME_CHARS = 1024
_CACHED_PATHS = 256
ANONYMOUS = "[jit]"
"""Executable memory without a file or a name: generated code whose generator says nothing about it."""

_DELETED = " (deleted)"
_MEMFD = "/memfd:"
_SHARED_MEMORY = "/dev/zero"
"""What /proc/PID/maps calls memory that is shared by a fork and has no file (MAP_SHARED | MAP_ANONYMOUS)."""
VDSO_PATH = "[vdso]"
"""What /proc/PID/maps calls the mapping of the kernel's code for user space."""


def is_memory_file(path: str) -> bool:
    """Whether the file was made by memfd_create(2); it may be a program or a library all the same."""
    return path.startswith(_MEMFD)


def is_shared_memory(path: str) -> bool:
    """Whether what /proc/PID/maps calls `path` is memory without a file, although it has an inode."""
    return path.removesuffix(_DELETED) == _SHARED_MEMORY


@lru_cache(_CACHED_PATHS)
def module_name(path: str) -> str:
    """The base name of a mapped file as /proc/PID/maps calls it, without the mark of a deleted one."""
    return os.path.basename(path.removesuffix(_DELETED))


def mapping_frame(path: str, offset: int) -> Frame:
    """The frame of an address in a mapping behind which no ELF file could be read.

    `path` and the file `offset` of the address as in /proc/PID/maps. A file, or the kernel's ``[vdso]``,
    gives ``[module+0xoffset]``. In anonymous memory, shared or not (``[jit]``, ``[heap]``, ``[anon:NAME]``,
    ``[memfd:NAME]``), nothing tells where a function starts and an offset would mean nothing in the next
    run, so that all code there is one frame.
    """
    if path == VDSO_PATH:
        return unnamed(VDSO_PATH, offset)
    if is_memory_file(path):
        return Frame(NATIVE, bounded(f"[{module_name(path)}]"))
    if path.startswith("/") and not is_shared_memory(path):
        return unnamed(module_name(path), offset)
    return Frame(NATIVE, bounded(path) if path.startswith("[") else ANONYMOUS)


def unnamed(module: str, offset: int) -> Frame:
    """``[module+0xoffset]``, the form for an address in `module` that has no symbol."""
    bare = module.removeprefix("[").removesuffix("]")
    return Frame(NATIVE, f"[{bounded(bare)}+{offset:#x}]")


def bounded(name: str) -> str:
    """`name`, cut at `MAX_NAME_CHARS`: a target chose it."""
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
