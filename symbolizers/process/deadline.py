"""A worker process with a deadline: whatever could wait for a target waits there, and alone.

The worker is a process and not a thread, because a thread stuck in the kernel (D state) would keep our
own process from ending. One request is under way at a time, so it is plain whose fault a stall is.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from socket import socketpair
from typing import NamedTuple

from symbolizers.errors import Stalled
from symbolizers.process.fair import FairQueue
from symbolizers.process.messages import BrokenStream, MessageStream

DEADLINE_S = 0.05
_HARD_LIMIT_S = 20.0
"""Even a worker that makes progress has to answer by then (symbols of a huge file on a busy machine)."""
_START_LIMIT_S = 30.0
_MAX_FAILED_STARTS = 3
_UNPRINTABLE = re.compile(r"[^\n\x20-\x7e]")
"""What a terminal could take for a command: a target may have a part in what a worker says."""
_LONGEST_PAUSE_S = 5.0
"""Before another start, where workers die before they are ready."""
_MOST_SAID_BYTES = 1 << 13
"""Of what a worker says on its stderr: a traceback, once a run."""


Then = Callable[["bytes | Stalled"], None]
"""What is called with the answer, or with `Stalled` after the last try."""


class Urgency(IntEnum):
    """Which requests come first. Within each, those of different lanes take turns."""

    SOON = 0
    """Samples wait for it."""
    PATIENT = 1
    AGAIN = 2
    """It stalled once: its second try comes after all others."""


@dataclass(frozen=True, slots=True)
class _Request:
    message: bytes
    user: int
    lane: Hashable
    then: Then
    tries: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the workers so far have cost: CPU seconds in all, and the largest resident size of one.

    `replaced`: how many were ended because they waited for too long, or died.
    """

    cpu_s: float
    max_rss_bytes: int
    replaced: int = 0


class _Progress(NamedTuple):
    """For how many nanoseconds a child ran and waited for a CPU, and whether it does so now."""

    ran_ns: int
    waited_ns: int
    is_running: bool

    def is_after(self, before: _Progress) -> bool:
        return self.is_running or self.ran_ns + self.waited_ns > before.ran_ns + before.waited_ns


def _empty_queues() -> dict[Urgency, FairQueue[_Request]]:
    return {urgency: FairQueue() for urgency in Urgency}


class WorkerFailed(RuntimeError):
    """Every worker so far has ended by itself while it started: an installation or program error."""


class DeadlineWorker:
    """Hands requests to a worker process and its answers back; never waits for it.

    A worker that waits too long, or dies, is replaced. Lifetime: a recording. `collect` should be called when
    `fileno` is ready for what `awaits` says, and after `timeout_s`.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        deadline_s: float = DEADLINE_S,
        most_cpu_s: float = _HARD_LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_cpu_s`: a request that takes more is `Stalled`, even if the worker does not end it itself."""
        self._command = (sys.executable, "-I", "-m", module)
        self._arguments = tuple(arguments)
        self._deadline_s = deadline_s
        self._most_cpu_ns = int(most_cpu_s * 1e9)
        self._clock = clock
        self._queues = _empty_queues()
        self._current: _Request | None = None
        self._failed_starts = 0
        self._ready = False
        self._was_ever_ready = False
        self._past = Usage(0.0, 0)
        # Workers don't get our stdout and stderr: one that stays in D state would keep a pipe open.
        self._said_fd = os.memfd_create("worker-stderr")
        self._has_said = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def fileno(self) -> int:
        """The descriptor to wait for, another one after a stall; -1 while no worker runs."""
        return -1 if self._process is None else self._stream.fileno()

    def awaits(self) -> int:
        """What to poll `fileno` for."""
        return select.POLLIN | (select.POLLOUT if self._stream.has_unsent() else 0)

    def submit(
        self, message: bytes, then: Then, *, user: int, lane: Hashable, soon: bool = False, tries: int = 2
    ) -> None:
        """Queues `message`, in a `lane` of `user`; `then` is called by a `collect` to come.

        A request that waits too long is `Stalled` after so many `tries`.

        A user gets no more than its turn, and neither does a lane: requests of others don't wait for all of
        this one's. Requests that are wanted `soon` come before all others.
        """
        urgency = Urgency.SOON if soon else Urgency.PATIENT
        self._queues[urgency].put(user, lane, _Request(message, user, lane, then, tries))
        self._dispatch()

    def drop_queued(self) -> None:
        """Forgets every request but the one that is under way; theirs will have no answer."""
        self._queues = _empty_queues()

    def pending(self) -> bool:
        """Whether any answer is still owed."""
        return self._current is not None or any(self._queues.values())

    def timeout_s(self) -> float | None:
        """Seconds until `collect` should be called even if nothing is ready; None: no need."""
        if self._current is None and self._ready:
            return None
        return max(0.0, self._check_at - self._clock())

    def collect(self) -> None:
        """Hands out the answers that have come, and `Stalled` for a request that overran its deadline."""
        if self._process is None:
            if self._clock() >= self._check_at:
                self._start()
            return
        try:
            for message in self._stream.receive():
                self._take(message)
            self._stream.flush()
        except BrokenStream:
            self._replace("the worker died over it")
            return
        if (self._current is not None or not self._ready) and self._clock() >= self._check_at:
            self._check()

    def usage(self) -> Usage:
        """CPU and memory of all workers of this recording so far."""
        if self._process is None:
            return self._past
        cpu_s, max_rss_bytes = _cost_of(self._process.pid)
        past = self._past
        return replace(past, cpu_s=past.cpu_s + cpu_s, max_rss_bytes=max(past.max_rss_bytes, max_rss_bytes))

    def close(self) -> None:
        """Ends the worker and waits for nothing, whatever state it is in. Safe to call twice."""
        if self._said_fd >= 0:
            self._end()
            os.close(self._said_fd)
            self._said_fd = -1

    def _take(self, message: bytes) -> None:
        answered, self._current = self._current, None
        self._ready = self._was_ever_ready = True
        self._dispatch()
        if answered is not None:
            answered.then(message)

    def _end(self) -> None:
        if self._process is not None:
            self._stream.close()
            self._process.send_signal(signal.SIGKILL)
            self._process.poll()
            self._process = None
        self._pass_on()

    def _pass_on(self) -> None:
        """Says on our stderr what the first worker that said something has said on its own."""
        said = b"" if self._has_said else os.pread(self._said_fd, _MOST_SAID_BYTES, 0)
        if said:
            self._has_said = True
            text = said.decode(errors="backslashreplace")
            os.write(2, _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text).encode())

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
        _raise_session(self._process.pid)
        self._stream = MessageStream(ours)
        self._ready = False
        self._arm(_START_LIMIT_S, _START_LIMIT_S)

    def _arm(self, deadline_s: float, limit_s: float) -> None:
        now = self._clock()
        self._check_at = now + deadline_s
        self._limit_at = now + limit_s
        self._progress: _Progress | None = None

    def _dispatch(self) -> None:
        if self._current is not None or not self._ready:
            return
        queue = next((queue for queue in self._queues.values() if queue), None)
        if queue is None:
            return
        self._current = queue.take()
        # Where the worker is dead, collect() finds the end of the stream, or the deadline passes.
        with suppress(BrokenStream):
            self._stream.post(self._current.message)
        self._arm(self._deadline_s, _HARD_LIMIT_S)

    def _check(self) -> None:
        """Replaces a worker that waits; one that works, or got no CPU, has more time."""
        assert self._process is not None
        now, before = _progress_of(self._process.pid), self._progress
        if before is None:
            self._ran_before_ns = now.ran_ns
        if now.ran_ns - self._ran_before_ns > self._most_cpu_ns:
            self._replace("it takes more CPU time than it may", again=False)
        elif self._clock() < self._limit_at and (before is None or now.is_after(before)):
            self._progress = now
            self._check_at = self._clock() + self._deadline_s
        else:
            self._replace("the deadline passed")

    def _replace(self, why: str, *, again: bool = True) -> None:
        assert self._process is not None
        self._past = replace(self.usage(), replaced=self._past.replaced + 1)
        # What is killed (a system is out of memory) or still waits for a disk is no error of the program.
        was_its_error = self._process.poll() not in (None, -signal.SIGKILL)
        self._end()
        self._failed_starts = 0 if self._ready else self._failed_starts + 1
        if self._failed_starts >= _MAX_FAILED_STARTS and not self._was_ever_ready and was_its_error:
            raise WorkerFailed(f"the worker {' '.join(self._command)} does not start: {why}")
        stalled, self._current = self._current, None
        self._ready = False
        if self._failed_starts:
            pause_s = min(self._deadline_s * 2**self._failed_starts, _LONGEST_PAUSE_S)
            self._arm(pause_s, pause_s)
        else:
            self._start()
        if stalled is None:
            return
        if stalled.tries <= 1 or not again:
            stalled.then(Stalled(why))
        else:  # a slow disk looks like a dead one, once
            request = replace(stalled, tries=stalled.tries - 1)
            self._queues[Urgency.AGAIN].put(request.user, request.lane, request)


def _raise_session(pid: int) -> None:
    """Gives the session of the worker `pid`, in which it is alone, the worker's priority.

    Where the kernel shares the CPUs among sessions (sched_autogroup), a priority counts only within one.
    """
    with suppress(OSError), open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
        file.write(str(os.getpriority(os.PRIO_PROCESS, pid)))


def _progress_of(pid: int) -> _Progress:
    ran_ns, is_running = _run_time_of(pid)
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
    except OSError:  # a kernel without scheduler statistics: clock ticks have to do
        return _Progress(ran_ns, 0, is_running)
    return _Progress(ran_ns, waited_ns, is_running)


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
    return _run_time_of(pid)[0] / 1e9, peak_bytes_of(pid)


def peak_bytes_of(pid: int) -> int:
    """Peak resident bytes of the program that `pid` runs, 0 once it has exited.

    What getrusage(2) says includes the program that it ran before its exec, which may have been a larger one.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    except OSError:
        return 0
    return int(line.split()[1]) * 1024
