"""What a process was forked from, if it still runs the same program: then it has the same code."""

from __future__ import annotations

from symbolizers.errors import Malformed, ProcessGone
from symbolizers.native.unnamed import VDSO_PATH
from symbolizers.process.identity import ProcessHandle, ProcessId, open_process, parent_of
from symbolizers.process.maps import read_mappings


def forked(process: ProcessId, seen_from: int = 0) -> ProcessId | None:
    """The process that this one was forked from, if it lives; None if this one has begun a program since.

    `seen_from`: its pid, where the fork was seen, and no exec since. Otherwise the parent is looked at: a
    program is mapped at random, and so is the vDSO, so that both are where the parent has them in a fork
    alone. Raises `ProcessGone` if that can't be said.
    """
    if seen_from:
        with open_process(seen_from) as parent:
            return parent.id if parent.id.start_ticks <= process.start_ticks else None
    with open_process(process.pid, process.start_ticks) as child, open_process(parent_of(child)) as parent:
        is_fork = parent.id.start_ticks <= process.start_ticks and _layout(child) == _layout(parent)
        return parent.id if is_fork else None


def _layout(handle: ProcessHandle) -> tuple[tuple[int, int, int], int]:
    """Where the first file with code is mapped, by its inode, and the vDSO. Raises `ProcessGone`."""
    try:
        mappings = read_mappings(handle, executable_only=True)
        program = next((each.start, each.end, each.inode) for each in mappings if each.inode)
        return program, next(each.start for each in mappings if each.path == VDSO_PATH)
    except (Malformed, StopIteration, PermissionError):
        raise ProcessGone(f"process {handle.id.pid} has no code") from None
