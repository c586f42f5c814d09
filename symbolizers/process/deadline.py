"""A worker process with a deadline: whatever could wait for a target waits there, and alone.

The worker is a process and not a thread, because a thread stuck in the kernel (D state) would keep our
own process from ending. One request is under way at a time, so it is plain whose fault a stall is.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from socket import socketpair

from symbolizers.errors import Stalled

DEADLINE_S = 0.05
_HARD_LIMIT_S = 20.0
"""Even a worker that makes progress has to answer by then (symbols of a huge file on a busy machine)."""
_START_LIMIT_S = 30.0
_MAX_FAILED_STARTS = 3
_MOST_SAID_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """A question about `subject` (what gets quarantined when it stalls): a method and its arguments."""

    subject: Hashable
    method: str
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to `request`; a `SymbolizeError` where there is none: `Stalled` after two tries."""

    request: Request
    value: object


@dataclass(frozen=True, slots=True)
class Usage:
    """What the workers so far have cost: CPU seconds in all, and the largest resident size of one."""

    cpu_s: float
    max_rss_bytes: int


class WorkerFailed(RuntimeError):
    """The worker does not start or dies again and again: an installation or program error."""


class DeadlineWorker:
    """Hands requests to a worker process and gives its answers back; never blocks.

    Lifetime: a recording. Wait for `fileno` to be readable, or for `timeout_s`, then call `collect`.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = (sys.executable, "-I", "-m", module)
        self._arguments = tuple(arguments)
        self._deadline_s = deadline_s
        self._clock = clock
        self._queue: deque[Request] = deque()
        self._again: deque[Request] = deque()
        self._current: Request | None = None
        self._is_second_try = False
        self._failed_starts = 0
        self._ready = False
        self._past = Usage(0.0, 0)
        # Workers don't get our stdout and stderr: one that stays in D state would keep a pipe open.
        self._said_fd = os.memfd_create("worker-stderr")
        self._said_bytes = 0
        self._start()

    def fileno(self) -> int:
        """The descriptor to wait for; another one after a stall."""
        return self._connection.fileno()

    def submit(self, request: Request, *, urgent: bool = False) -> None:
        """Queues `request`; an `urgent` one before all that wait."""
        if urgent:
            self._queue.appendleft(request)
        else:
            self._queue.append(request)
        self._dispatch()

    def pending(self) -> bool:
        """Whether any answer is still owed."""
        return self._current is not None or bool(self._queue) or bool(self._again)

    def timeout_s(self) -> float | None:
        """Seconds until `collect` should be called even if nothing is readable; None: no need."""
        if self._current is None and self._ready:
            return None
        return max(0.0, self._check_at - self._clock())

    def collect(self) -> list[Reply]:
        """The answers that have come, among them `Stalled` for a request that overran its deadline."""
        replies: list[Reply] = []
        while self._readable.poll(0):
            try:
                value = self._connection.recv()
            except (EOFError, ConnectionResetError):
                replies += self._replace("the worker died over it")
                return replies
            if not self._ready:
                self._ready = True
            elif self._current is not None:
                replies.append(Reply(self._current, value))
                self._current = None
            self._dispatch()
        if (self._current is not None or not self._ready) and self._clock() >= self._check_at:
            replies += self._check()
        return replies

    def usage(self) -> Usage:
        """CPU and memory of all workers of this recording so far."""
        cpu_s, max_rss_bytes = _cost_of(self._process.pid)
        return Usage(self._past.cpu_s + cpu_s, max(self._past.max_rss_bytes, max_rss_bytes))

    def close(self) -> None:
        """Ends the worker and waits for nothing, whatever state it is in. Safe to call twice."""
        if self._said_fd >= 0:
            self._end()
            os.close(self._said_fd)
            self._said_fd = -1

    def _end(self) -> None:
        self._connection.close()
        self._process.send_signal(signal.SIGKILL)
        self._process.poll()
        self._pass_on()

    def _pass_on(self) -> None:
        """Says on our stderr what workers have said on theirs."""
        said = os.pread(self._said_fd, _MOST_SAID_BYTES, self._said_bytes)
        self._said_bytes += len(said)
        if said:
            os.write(2, said)

    def _start(self) -> None:
        ours, theirs = socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno()), *self._arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said_fd,
                start_new_session=True,
            )
        self._connection: Connection = Connection(ours.detach())
        self._readable = select.poll()  # Connection.poll() makes a selector anew at each call
        self._readable.register(self._connection, select.POLLIN)
        self._ready = False
        self._arm(_START_LIMIT_S, _START_LIMIT_S)

    def _arm(self, deadline_s: float, limit_s: float) -> None:
        now = self._clock()
        self._check_at = now + deadline_s
        self._limit_at = now + limit_s
        self._progress_ns = -1

    def _dispatch(self) -> None:
        if self._current is None and self._ready and (self._queue or self._again):
            self._is_second_try = not self._queue
            self._current = (self._queue or self._again).popleft()
            try:
                self._connection.send((self._current.method, self._current.arguments))
            except (BrokenPipeError, ConnectionResetError):
                return  # collect() finds the end of the stream and replaces the worker
            finally:
                self._arm(self._deadline_s, _HARD_LIMIT_S)

    def _check(self) -> list[Reply]:
        """Tells a worker that waits from one that works or got no CPU; the latter has more time."""
        progress_ns, running = _progress_of(self._process.pid)
        if self._clock() < self._limit_at and (running or progress_ns > self._progress_ns):
            self._progress_ns = progress_ns
            self._check_at = self._clock() + self._deadline_s
            return []
        return self._replace("the deadline passed")

    def _replace(self, why: str) -> list[Reply]:
        self._past = self.usage()
        self._end()
        self._failed_starts = 0 if self._ready else self._failed_starts + 1
        if self._failed_starts >= _MAX_FAILED_STARTS:
            raise WorkerFailed(f"the worker {' '.join(self._command)} does not start: {why}")
        stalled, self._current = self._current, None
        self._start()
        if stalled is None:
            return []
        if not self._is_second_try:  # a slow disk looks like a dead one, once; all others come first
            self._again.append(stalled)
            return []
        return [Reply(stalled, Stalled(why))]


def _progress_of(pid: int) -> tuple[int, bool]:
    """Nanoseconds for which our child `pid` ran or waited for a CPU, and whether it does now."""
    ran_ns, is_running = _run_time_of(pid)
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
    except OSError:  # a kernel without scheduler statistics: clock ticks have to do
        return ran_ns, is_running
    return ran_ns + waited_ns, is_running


def _run_time_of(pid: int) -> tuple[int, bool]:
    """Nanoseconds of CPU that our child `pid` used, to the clock tick, and whether it runs now."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, False
    ticks = int(fields[11]) + int(fields[12])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"), fields[0] == b"R"


def _cost_of(pid: int) -> tuple[float, int]:
    """CPU seconds and peak resident bytes of our child `pid` (zeros once it was reaped)."""
    peak_bytes = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    peak_bytes = int(line.split()[1]) * 1024
    except OSError:
        return 0.0, 0
    return _run_time_of(pid)[0] / 1e9, peak_bytes
