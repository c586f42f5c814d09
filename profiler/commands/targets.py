"""Which processes ``-p`` names, by pid or by the name of their command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from profiler.errors import TargetGone, UsageError
from symbolizers.errors import ProcessGone
from symbolizers.process.identity import command_name_of, leader_of

if TYPE_CHECKING:  # imported where it is used: a recording of the whole system does not wait for it
    import psutil

_HOW_TO_LIST = "'ps -e' lists those that run"
_KEPT_BYTES = 15
"""Of a command's name; sched.h: TASK_COMM_LEN, without the zero."""


class Target(NamedTuple):
    """A process to record, by the command name that it has now."""

    pid: int
    name: str


def find_targets(named: Sequence[str], *, children: bool) -> tuple[Target, ...]:
    """The processes with these pids and command names, each once; with `children`, those below them, too.

    Raises `TargetGone` for a pid or a name that no process has, `UsageError` for the number of a thread,
    and click's usage error for a pid of 0.
    """
    found: dict[int, Target] = {}
    for each in named:
        for process in _by_pid(each) if each.isdigit() else _by_name(each):
            below = process.children(recursive=True) if children else []
            found.update((one.pid, Target(one.pid, _name(one))) for one in (process, *below))
    return tuple(found.values())


def target_names(named: Sequence[str], targets: Sequence[Target]) -> list[str]:
    """What was asked for, by program: its name, and for pids ``python3 (4711)`` or ``python3 × 2``."""
    name_of = {target.pid: target.name for target in targets}
    pids: dict[str, set[int]] = {each: set() for each in named if not each.isdigit()}
    whole = set(pids)
    for pid in (int(each) for each in named if each.isdigit()):
        name = name_of.get(pid, "") or f"pid {pid}"  # it has just ended
        if name not in whole:
            pids.setdefault(name, set()).add(pid)
    return [_counted(name, sorted(of_name)) for name, of_name in pids.items()]


def _counted(name: str, pids: Sequence[int]) -> str:
    if len(pids) == 1 and name != f"pid {pids[0]}":
        return f"{name} ({pids[0]})"
    return f"{name} × {len(pids)}" if len(pids) > 1 else name


def _by_pid(text: str) -> list[psutil.Process]:
    if not int(text):
        raise click.BadParameter("0 is no process; pids begin with 1", param_hint="--pid")
    import psutil

    try:
        process = psutil.Process(int(text))
        leader = leader_of(process.pid)
        has_ended = process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ProcessGone, OverflowError):
        raise TargetGone(f"there is no process {text}; {_HOW_TO_LIST}") from None
    if leader != process.pid:
        raise UsageError(f"{text} is a thread of process {leader}; -p {leader} records all threads of that")
    if has_ended:
        raise TargetGone(f"process {text} has ended, and waits for its parent to notice; {_HOW_TO_LIST}")
    return [process]


def _by_name(name: str) -> list[psutil.Process]:
    import psutil

    found = [each for each in psutil.process_iter() if each.pid != os.getpid() and _is_called(each, name)]
    if not found:
        raise TargetGone(f"no process is called {name!r}; {_HOW_TO_LIST}")
    return found


def _is_called(process: psutil.Process, name: str) -> bool:
    own = _name(process)
    # The kernel keeps no more of it; the rest would have to be read from the process, which can wait.
    return own == name or (len(own.encode()) >= _KEPT_BYTES and name.startswith(own))


def _name(process: psutil.Process) -> str:
    try:
        return command_name_of(process.pid)
    except ProcessGone:  # it has just ended
        return ""
