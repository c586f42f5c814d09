"""What a profiler costs: CPU time and memory of its process and of all that it started."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from tests.bench.cgroup import Cgroup
from tests.support.process.open_links import open_links

POLL_S = 0.005
PSS_EVERY_S = 0.5
"""The kernel takes a millisecond or two to add up what the processes hold."""
PATIENCE_S = 60.0
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process has when the thread that forked it is over."""
CPU_CLOCK_SCHED = 2
"""The kind of CPU clock that counts nanoseconds on a CPU, user and system (linux/posix-timers.h)."""


class ProfilerFailed(Exception):
    """A profiler did not start, did not end, or ended badly: a row of the table says so."""


class Profiler:
    """A profiler that runs, its words in a file; leaving the block ends it, kindly or not."""

    def __init__(self, command: Sequence[str], log: Path, *, looks: bool = True) -> None:
        """`looks`: from time to time at what its processes hold. Raises `NoCgroups`."""
        self._log = log
        self._cgroup = Cgroup()
        self._most_pss_bytes = 0
        self._done = threading.Event()
        self.started_ns = time.monotonic_ns()
        self._process = self._start(command)
        self._looker = threading.Thread(target=self._look, daemon=True)
        if looks:
            self._looker.start()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as sink:
            return self._started(command, sink, sink)

    def _started(
        self, command: Sequence[str], output: IO[bytes], words: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        # In a session of its own: the kernel shares the CPUs among sessions, and pidflame, which goes before
        # others in its own, left the target nothing of theirs on a machine with a load of 15.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=words,
            preexec_fn=self._enter,
            start_new_session=True,
        )

    def _enter(self) -> None:
        """In the child, before it runs its program: a bench that is ended leaves no profiler behind."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self._cgroup.enter()

    def __enter__(self) -> Profiler:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._done.set()
        if self._looker.ident:
            self._looker.join()
        self._cgroup.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def words(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it still runs; `ProfilerFailed` is raised where it ended by itself."""
        if self._process.poll() is not None:
            raise ProfilerFailed(f"ended early ({self._process.returncode}): {self._last_words()}")
        return True

    def holds(self, link: str) -> bool:
        """Whether one of its processes has `link` (as /proc/PID/fd shows it) open."""
        return any(link in open_links(pid) for pid in self.tree())

    def tree(self) -> list[int]:
        """The pids of its processes that live now."""
        return self._cgroup.pids()

    def cpu_ns(self) -> int:
        """CPU time so far of all its processes, ended ones too."""
        return self._cgroup.cpu_ns()

    def most_pss_bytes(self) -> int:
        """The most that all its processes held at a time; what some share counts in parts."""
        return self._most_pss_bytes

    def finish(self, interrupted: int = 0) -> None:
        """Interrupt it as Ctrl-C does, and let it write its file; `interrupted` is an exit code for that.

        Raises `ProfilerFailed` where it does not end in time or ends with an error.
        """
        self._process.send_signal(signal.SIGINT)
        self._wait("of Ctrl-C", (0, -signal.SIGINT, interrupted))

    def afterwards(self, command: Sequence[str], output: Path) -> None:
        """Run what makes stacks of its file, at its expense. Raises `ProfilerFailed`."""
        with output.open("wb") as sink, self._log.open("ab") as log:
            self._process = self._started(command, sink, log)
        self._wait("of its start", (0,))

    def _wait(self, since: str, accepted: Iterable[int]) -> None:
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise ProfilerFailed(f"did not end within {PATIENCE_S:.0f} s {since}") from None
        if code not in accepted:
            raise ProfilerFailed(f"exit {code}: {self._last_words()}")

    def _look(self) -> None:
        while not self._done.wait(PSS_EVERY_S):
            held = sum(map(process_pss_bytes, self.tree()))
            self._most_pss_bytes = max(self._most_pss_bytes, held)

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
