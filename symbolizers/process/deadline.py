"""A worker process with a deadline: whatever could wait for a target waits there, and alone.

The worker is a process and not a thread, because a thread stuck in the kernel (D state) would keep our
own process from ending. One request is under way at a time, so it is plain whose fault a stall is.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from enum import IntEnum
from socket import socketpair
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from symbolizers.errors import Stalled
from symbolizers.process.fair import FairQueue
from symbolizers.process.fork_server import ForkServer
from symbolizers.process.messages import BrokenStream, MessageStream
from symbolizers.process.usage import peak_bytes_of, run_time_of

DEADLINE_S = 0.05
_HARD_LIMIT_S = 20.0
"""Even a worker that makes progress has to answer by then (symbols of a huge file on a busy machine)."""
_START_LIMIT_S = 30.0
_MAX_FAILED_STARTS = 3
_LONGEST_PAUSE_S = 5.0
"""Before another start, where workers die before they are ready."""


Then = Callable[["bytes | Stalled"], None]
"""What is called with the answer, or with `Stalled` after the last try."""


class Urgency(IntEnum):
    """Which requests come first. Within each, those of different lanes take turns."""

    SOON = 0
    """Samples wait for it."""
    PATIENT = 1
    AGAIN = 2
    """It stalled once: its second try comes after all others."""


class _Request(Struct, frozen=True):
    message: bytes
    user: int
    lane: Hashable
    then: Then
    tries: int


class Usage(Struct, frozen=True):
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
        server: ForkServer,
        arguments: Sequence[str] = (),
        *,
        deadline_s: float = DEADLINE_S,
        most_cpu_s: float = _HARD_LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`server` makes the workers, with these `arguments`.

        `most_cpu_s`: a request that takes more is `Stalled`, even if the worker does not end it itself.
        """
        self._server = server
        self._arguments = tuple(arguments)
        self._deadline_s = deadline_s
        self._most_cpu_ns = int(most_cpu_s * 1e9)
        self._clock = clock
        self._queues = _empty_queues()
        self._current: _Request | None = None
        self._settled: list[tuple[Then, bytes]] = []
        """What has an answer without a worker."""
        self._failed_starts = 0
        self._was_ever_ready = False
        self._past = Usage(0.0, 0)
        self._stream: MessageStream | None = None
        self._pid: int | None = None
        """Known when it is ready."""
        self._exiting: set[int] = set()
        self._start()

    def fileno(self) -> int:
        """The descriptor to wait for, another one after a stall; -1 while no worker runs."""
        return -1 if self._stream is None else self._stream.fileno()

    def awaits(self) -> int:
        """What to poll `fileno` for."""
        has_unsent = self._stream is not None and self._stream.has_unsent()
        return select.POLLIN | (select.POLLOUT if has_unsent else 0)

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

    def settle(self, lane: Hashable, answer: bytes) -> None:
        """Answers what is wanted soon in a `lane`, but for a request under way; `collect` hands it out."""
        self._settled += [(each.then, answer) for each in self._queues[Urgency.SOON].remove(lane)]

    def drop(self) -> None:
        """Forgets every request: none has an answer. The worker of one that is under way ends with it."""
        self._queues = _empty_queues()
        self._settled.clear()
        if self._current is not None:
            self._past = self.usage()
            self._current = None
            self._end()
            self._start()

    def pending(self) -> bool:
        """Whether any answer is still owed."""
        return self._current is not None or bool(self._settled) or any(self._queues.values())

    def timeout_s(self) -> float | None:
        """Seconds until `collect` should be called even if nothing is ready; None: no need."""
        if self._settled:
            return 0.0
        if self._current is None and self._is_ready():
            return None
        return max(0.0, self._check_at - self._clock())

    def collect(self) -> None:
        """Hands out the answers that have come, and `Stalled` for a request that overran its deadline."""
        settled, self._settled = self._settled, []
        for then, answer in settled:
            then(answer)
        if self._stream is None:
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
        if (self._current is not None or not self._is_ready()) and self._clock() >= self._check_at:
            self._check()

    def usage(self) -> Usage:
        """CPU and memory of all workers of this recording so far."""
        if self._pid is None:
            return self._past
        past, cpu_s = self._past, run_time_of(self._pid)[0] / 1e9
        most_bytes = max(past.max_rss_bytes, peak_bytes_of(self._pid))
        return replace(past, cpu_s=past.cpu_s + cpu_s, max_rss_bytes=most_bytes)

    def close(self) -> None:
        """Ends the worker and waits for nothing, whatever state it is in. Safe to call twice."""
        self._end()

    def _is_ready(self) -> bool:
        return self._pid is not None

    def _take(self, message: bytes) -> None:
        if self._pid is None:
            self._pid = int(message)
        answered, self._current = self._current, None
        self._was_ever_ready = True
        self._dispatch()
        if answered is not None:
            answered.then(message)

    def _end(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._exiting.add(self._pid)
            self._pid = None
        self._exiting -= {pid for pid in self._exiting if os.waitpid(pid, os.WNOHANG)[0]}
        self._server.pass_on()

    def _start(self) -> None:
        ours, theirs = socketpair()
        with theirs:
            self._server.fork(theirs, self._arguments)
        self._stream = MessageStream(ours)
        self._arm(_START_LIMIT_S, _START_LIMIT_S)

    def _arm(self, deadline_s: float, limit_s: float) -> None:
        now = self._clock()
        self._check_at = now + deadline_s
        self._limit_at = now + limit_s
        self._progress: _Progress | None = None

    def _dispatch(self) -> None:
        if self._current is not None or not self._is_ready():
            return
        queue = next((queue for queue in self._queues.values() if queue), None)
        if queue is None or self._stream is None:
            return
        self._current = queue.take()
        # Where the worker is dead, collect() finds the end of the stream, or the deadline passes.
        with suppress(BrokenStream):
            self._stream.post(self._current.message)
        self._arm(self._deadline_s, _HARD_LIMIT_S)

    def _check(self) -> None:
        """Replaces a worker that waits; one that works, or got no CPU, has more time."""
        if self._pid is None:
            self._replace("it does not start")
            return
        now, before = _progress_of(self._pid), self._progress
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
        self._past = replace(self.usage(), replaced=self._past.replaced + 1)
        self._failed_starts = 0 if self._is_ready() else self._failed_starts + 1
        self._end()
        # What is killed (the system is out of memory) says nothing, and is no error of the program.
        was_its_error = self._server.has_complained() and not self._was_ever_ready
        if self._failed_starts >= _MAX_FAILED_STARTS and was_its_error:
            raise WorkerFailed(f"the worker {' '.join(self._server.command)} does not start: {why}")
        stalled, self._current = self._current, None
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


def _progress_of(pid: int) -> _Progress:
    ran_ns, is_running = run_time_of(pid)
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
    except OSError:  # a kernel without scheduler statistics: clock ticks have to do
        return _Progress(ran_ns, 0, is_running)
    return _Progress(ran_ns, waited_ns, is_running)
