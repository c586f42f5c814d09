"""Healthy programs, whose only function is known: long-lived ones, and short ones, one after another."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.live.harness import RUBY, SYSTEM_PYTHON, Recorded
from tests.support.live.neighbours.place import Place
from tests.support.process.session_priority import set_session_priority

FUNCTION = "healthy_work"
PRIORITY = -5
"""Three times the weight of a usual process: beside a storm they still get enough CPU to be judged by."""
USERS = (0, 2000)
SHORT_S = 0.3
INTERPRETERS = {
    "python3": (SYSTEM_PYTHON, "-IS", "healthy.py"),
    "ruby": (RUBY, "--disable-gems", "healthy.rb"),
}


@dataclass(frozen=True)
class Short:
    """A short program that has ended: when it ran (CLOCK_MONOTONIC), and the share of its CPU time that its
    function took."""

    root: str
    began_s: float
    ended_s: float
    share: float


@dataclass
class Healthy:
    """The programs that run, and those that have run."""

    long: dict[str, int] = field(default_factory=dict)
    """The pid of each long-lived one, by the root of its stacks."""
    short: list[Short] = field(default_factory=list)

    def cpu_s(self) -> float:
        """CPU seconds of all long-lived ones so far: clock_getcpuclockid(3) of other processes."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.long.values())


@contextmanager
def healthy_programs(place: Place) -> Iterator[Healthy]:
    """Each interpreter, for each user once for long and once for short, until the end of the block."""
    healthy, stopped = Healthy(), threading.Event()
    started = []
    threads = []
    for user in USERS:
        threads.append(threading.Thread(target=_run_short_ones, args=(place, user, healthy, stopped)))
        for name in INTERPRETERS:
            process = _start(place, name, user)
            started.append(process)
            healthy.long[f"{name} ({process.pid})"] = process.pid
    for thread in threads:
        thread.start()
    try:
        yield healthy
        assert [process.poll() for process in started] == [None] * len(started), "a healthy program ended"
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        for process in started:
            process.kill()
            process.communicate()


def _run_short_ones(place: Place, user: int, healthy: Healthy, stopped: threading.Event) -> None:
    while not stopped.is_set():
        for name in INTERPRETERS:
            began_s = time.monotonic()
            process = _start(place, name, user, str(SHORT_S))
            said, _ = process.communicate()
            work_s, total_s = map(float, said.split())
            root = f"{name} ({process.pid})"
            healthy.short.append(Short(root, began_s, time.monotonic(), work_s / total_s))


def _start(place: Place, name: str, user: int, *arguments: str) -> subprocess.Popen[str]:
    *command, program = INTERPRETERS[name]
    process = subprocess.Popen(
        [*command, place.program(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        start_new_session=True,
    )
    os.setpriority(os.PRIO_PROCESS, process.pid, PRIORITY)
    set_session_priority(process.pid, PRIORITY)
    return process


@dataclass(frozen=True)
class Named:
    """How many samples some programs have, how many of these show the function, and how many should."""

    samples: int
    named: int
    due: float
    lost: Counter[str]
    """Their samples without a name or a part of one, by reason."""


def named_of(recorded: Recorded, shares: dict[str, float]) -> Named:
    """Of the programs whose stacks have these roots, each with the share of its time in the function."""
    rows = {row["process"]: row for row in recorded.stats["per_process"] if row["process"] in shares}
    samples = {root: row["samples"] for root, row in rows.items()}
    lost: Counter[str] = Counter()
    for row in rows.values():
        lost.update(row["dropped"])
        lost.update(row["partial"])
    return Named(
        sum(samples.get(root, 0) for root in shares),
        sum(recorded.within(FUNCTION, root=root) for root in shares),
        sum(samples.get(root, 0) * share for root, share in shares.items()),
        +lost,
    )
