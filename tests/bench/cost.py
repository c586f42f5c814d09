"""What a profiler costs: CPU time and memory of its process and of the workers that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support.process.open_links import open_links

POLL_S = 0.005
PATIENCE_S = 60.0
CPU_CLOCK_SCHED = 2
"""The kind of CPU clock that counts nanoseconds on a CPU, user and system (linux/posix-timers.h)."""


class ProfilerFailed(Exception):
    """A profiler did not start, did not end, or ended badly: a row of the table says so."""


class Profiler:
    """A profiler that runs, its words in a file; leaving the block ends it, kindly or not."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        self.started_ns = time.monotonic_ns()
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
            )
        self._finished = False

    def __enter__(self) -> Profiler:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def words(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it still runs; `ProfilerFailed` is raised where it ended by itself."""
        if self._process.poll() is not None:
            self._finished = True
            raise ProfilerFailed(f"ended early ({self._process.returncode}): {self._last_words()}")
        return True

    def holds(self, link: str) -> bool:
        """Whether one of its processes has `link` (as /proc/PID/fd shows it) open."""
        return any(link in open_links(pid) for pid in self.tree())

    def tree(self) -> list[int]:
        """The pids of its processes that live now."""
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [self.pid, *(child.pid for child in children)]

    def cpu_ns(self) -> int:
        """CPU time so far of all its living processes."""
        return sum(map(process_cpu_ns, self.tree()))

    def pss_bytes(self) -> int:
        """What all its living processes hold now; what some share counts in parts."""
        return sum(map(process_pss_bytes, self.tree()))

    def finish(self) -> float:
        """Interrupt it as Ctrl-C does, let it write its file, and say what it cost.

        These are CPU seconds from its start to its exit, workers included. Raises `ProfilerFailed` where it
        does not end in time or ends with an error.
        """
        os.kill(self.pid, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._finished = True
                self._process.returncode = os.waitstatus_to_exitcode(status)
                if self._process.returncode not in (0, -signal.SIGINT):
                    raise ProfilerFailed(f"exit {self._process.returncode}: {self._last_words()}")
                return usage.ru_utime + usage.ru_stime
            time.sleep(POLL_S)
        raise ProfilerFailed(f"did not end within {PATIENCE_S:.0f} s of Ctrl-C")

    def _last_words(self) -> str:
        lines = self.words().strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def process_cpu_ns(pid: int) -> int:
    """CPU time of a process, dead threads included; 0 where it is gone.

    The clock's number holds the inverted pid above three bits of kind (CLOCK_*, man 3 clock_getcpuclockid).
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | CPU_CLOCK_SCHED)
    except OSError:
        return 0


def process_pss_bytes(pid: int) -> int:
    """The proportional set size of a process; 0 where it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
