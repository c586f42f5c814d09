"""The programs that the bench has profiled: the live tests' targets, made to do a fixed amount of work."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from tests.support.live.harness import RUBY as RUBY_PROGRAM
from tests.support.live.harness import SYSTEM_PYTHON, WORKLOADS

PATIENCE_S = 90.0
CALIBRATION_S = 0.5
"""Units of work are counted in a run of at least that much CPU time."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of target. `functions` are those whose CPU time its truth tells."""

    name: str
    title: str
    command: tuple[str, ...]
    functions: tuple[str, ...]
    is_python: bool
    cpus: int
    """How many CPUs it keeps busy, at most; 0 where its units are milliseconds of wall time."""
    are_processes: bool = False
    """Whether `functions` are names of processes: any profiler tells these apart."""


def _python(program: str, *arguments: str, interpreter: str = SYSTEM_PYTHON) -> tuple[str, ...]:
    return (interpreter, str(WORKLOADS / program), *arguments)


CPUS = os.cpu_count() or 1
SHARES = ("heavy_share", "medium_share", "light_share")
BURNS = ("burn_a", "burn_b", "syscall_line")
BURST_SHARE = 0.2
"""Of its time that a process of at_intervals.py runs."""
BURSTS = ("burst-50", "burst-25", "burst-100", "burst-10")
PYTHON = Workload("python", "A busy Python", _python("split.py"), SHARES, True, 1)
RUBY = Workload("ruby", "A busy Ruby", (RUBY_PROGRAM, str(WORKLOADS / "split.rb")), SHARES, False, 1)
PHP = Workload("php", "A busy PHP", ("php", str(WORKLOADS / "split.php")), SHARES, False, 1)
EIGHT = Workload(
    "threads", "8 busy threads of one Python", _python("eight.py"), ("long_turn", "short_turn"), True, 1
)
TWENTY = Workload(
    "twenty", "20 busy Python processes", _python("twenty.py", "--processes", "20"), BURNS, True, CPUS
)
STORM = Workload("forks", "A storm of short-lived forks", _python("storm.py"), ("in_the_fork",), True, CPUS)
IN_C = Workload(
    "c",
    "Python in C extensions (numpy, zlib)",
    _python("in_c.py", interpreter=sys.executable),
    ("by_numpy", "by_zlib"),
    True,
    1,
)
INTERVALS = Workload(
    "intervals",
    "Programs that run at intervals",
    _python("at_intervals.py"),
    BURSTS,
    False,
    0,
    are_processes=True,
)
IDLE = Workload("idle", "An idle machine", _python("idle.py"), (), True, 0)
ALL = (PYTHON, RUBY, PHP, EIGHT, TWENTY, STORM, IN_C, INTERVALS, IDLE)
BY_NAME = {workload.name: workload for workload in ALL}


@dataclass(frozen=True, slots=True)
class Truth:
    """What a target says about itself when its work is done."""

    pids: tuple[int, ...]
    cpu_s: Mapping[str, float]
    total_cpu_s: float

    @property
    def work_cpu_s(self) -> float:
        """CPU seconds inside the functions that samples are looked for in."""
        return sum(self.cpu_s.values())


class TargetFailed(Exception):
    """A target did not get ready, or did not end its work."""


class Target:
    """A running target; leaving the block ends it, also in the middle of its work."""

    def __init__(self, workload: Workload, *arguments: str) -> None:
        """Start it with these arguments; entering the block waits until it is ready."""
        self._process = subprocess.Popen(
            [*workload.command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._pending = b""
        self._done = False

    @property
    def pid(self) -> int:
        """The pid of the process that was started (the parent of the twenty)."""
        return self._process.pid

    def __enter__(self) -> Target:
        try:
            if self._line() != "ready":
                raise TargetFailed("a target did not get ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._done:
            for process in psutil.Process(self.pid).children():
                process.terminate()
            self._process.terminate()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def go(self) -> None:
        """Let it begin its work."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    def truth(self) -> Truth:
        """Wait for the end of its work."""
        said = json.loads(self._line())
        self._done = True
        return Truth(tuple(said["pids"]), said["cpu_s"], said["total_cpu_s"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        while b"\n" not in self._pending:
            if not select.select([self._process.stdout], [], [], PATIENCE_S)[0]:
                raise TargetFailed(f"a target said nothing for {PATIENCE_S:.0f} s")
            chunk = self._process.stdout.read(65536)
            if not chunk:
                raise TargetFailed("a target ended before its work was done")
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()


def work_of(workload: Workload, units: int) -> Target:
    """A target that does `units` of work when it is told to go, and burns CPU until then."""
    return Target(workload, "--units", str(units), "--warm-up")


def units_for(workload: Workload, wall_s: float) -> int:
    """How many units of work keep the workload (each process of it) busy for about `wall_s` seconds."""
    if not workload.cpus:
        return round(1000 * wall_s)
    units, cpu_s = 10, 0.0
    while cpu_s < CALIBRATION_S:
        units *= 4
        with Target(workload, "--units", str(units)) as target:
            target.go()
            cpu_s = target.truth().total_cpu_s
    return max(1, round(units * wall_s * workload.cpus / cpu_s))
