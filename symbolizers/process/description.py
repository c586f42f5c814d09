"""What a process is: its program, its command line, its container.

Files of /proc can wait for what the process does to itself, and its command line is its own memory: only the
worker asks.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from symbolizers.errors import ReadFault
from symbolizers.process.containers import container_in, container_of
from symbolizers.process.identity import ProcessHandle
from symbolizers.process.memory import NowaitReader
from symbolizers.process.syscalls import open_cgroup

_MOST_COMMAND_BYTES = 4096
_MOST_TEXT_BYTES = 16_384
"""Of /proc/PID/cgroup: fifteen hierarchies at most, mostly with the same path."""
_STAT_BYTES = 4096
_ARGUMENTS_AFTER_COMM = 45
"""proc(5): field 48 is the start of the arguments, then come their end, and those of the environment."""
_DELETED = " (deleted)"
_HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where the unified hierarchy is mounted: alone, or beside those of version 1."""


class Description(NamedTuple):
    """What a process is; empty where that is not known."""

    executable: str = ""
    """The path of its program, as its mount namespace has it."""
    command: tuple[str, ...] = ()
    """Its command line: 4 kB of it at most, without arguments at its end that are empty."""
    container: str = ""
    """As `container_of` says."""


def describe(handle: ProcessHandle, memory: NowaitReader, cgroup: int) -> Description:
    """The process, as far as anybody can say now: of one that has exited, the container of its `cgroup`."""
    proc = f"/proc/{handle.id.pid}"
    executable = container = ""
    command: tuple[str, ...] = ()
    with suppress(OSError):
        container = container_of(_text(f"{proc}/cgroup", _MOST_TEXT_BYTES))
    with suppress(OSError):  # a thread of the kernel has none
        executable = os.readlink(f"{proc}/exe").removesuffix(_DELETED)
    with suppress(OSError, ReadFault):
        command = _command(memory, _text(f"{proc}/stat", _STAT_BYTES))
    # If it still lives, that was all about this process.
    if not handle.alive():
        return Description(container=container_with_id(cgroup))
    return Description(executable, command, container)


def container_with_id(cgroup: int) -> str:
    """The container of the cgroup with this id, if that still is there. Never waits for a process."""
    mount = _mount()
    if mount is None:
        return ""
    try:
        found = open_cgroup(mount, cgroup)
    except OSError:
        return ""
    try:
        return container_in(os.fsencode(os.readlink(f"/proc/self/fd/{found}")))
    finally:
        os.close(found)


def _command(memory: NowaitReader, stat: bytes) -> tuple[str, ...]:
    """The command line. Raises `ReadFault` where it is not in memory."""
    fields = stat.rpartition(b")")[2].split()[_ARGUMENTS_AFTER_COMM:]
    start, end, _, environment_end = map(int, fields[:4])
    size_bytes = min(end - start, _MOST_COMMAND_BYTES)
    if size_bytes <= 0:  # of the kernel
        return ()
    text = memory.read(start, size_bytes)
    if not text.endswith(b"\0") and size_bytes < _MOST_COMMAND_BYTES:
        # A program that writes a title over its arguments goes on in its environment.
        most_bytes = max(size_bytes, min(environment_end - start, _MOST_COMMAND_BYTES))
        text = memory.read(start, most_bytes).partition(b"\0")[0]
    # A title is padded with zeros.
    return tuple(map(os.fsdecode, text.rstrip(b"\0").split(b"\0")))


def _text(path: str, most_bytes: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(most_bytes)


@cache
def _mount() -> int | None:
    """The unified hierarchy, open for the rest of this process's life; None if there is none."""
    for path in _HIERARCHIES:
        if os.path.exists(f"{path}/cgroup.controllers"):
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return None
