"""Which processes ``-p`` names, by pid or by the name of their command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import click
import psutil

from profiler.errors import TargetGone


class Target(NamedTuple):
    """A process to record, by the command name that it has now."""

    pid: int
    name: str


def find_targets(named: Sequence[str], *, children: bool) -> tuple[Target, ...]:
    """The processes with these pids and command names, each once; with `children`, those below them, too.

    Raises `TargetGone` for a pid or a name that no process has, and click's usage error for a pid of 0.
    """
    found: dict[int, Target] = {}
    for each in named:
        for process in _by_pid(each) if each.isdigit() else _by_name(each):
            below = process.children(recursive=True) if children else []
            found.update((one.pid, Target(one.pid, _name(one))) for one in (process, *below))
    return tuple(found.values())


def _by_pid(text: str) -> list[psutil.Process]:
    if not int(text):
        raise click.BadParameter("0 is no process; pids begin with 1", param_hint="--pid")
    try:
        return [psutil.Process(int(text))]
    except (psutil.NoSuchProcess, OverflowError):
        raise TargetGone(f"there is no process {text}; 'ps -e' lists those that run") from None


def _by_name(name: str) -> list[psutil.Process]:
    found = [each for each in psutil.process_iter() if each.pid != os.getpid() and _name(each) == name]
    if not found:
        raise TargetGone(f"no process is called {name!r}; 'ps -e' lists those that run")
    return found


def _name(process: psutil.Process) -> str:
    try:
        name: str = process.name()
    except psutil.NoSuchProcess:  # it has just ended
        return ""
    return name
