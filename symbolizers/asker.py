"""Asks the worker and waits for it: the one way for everything that has a question about a target."""

from __future__ import annotations

import math
import select
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from symbolizers.bounded import keep
from symbolizers.errors import Reason, Stalled
from symbolizers.process.deadline import DeadlineWorker, Usage
from symbolizers.process.fork_server import ForkServer
from symbolizers.questions import AnswerT, Failed, Lane, NotUnderstood, Question, decode_answer, encode

_LONGEST_S = 3600.0
"""poll(2) takes milliseconds in an int."""


_QUICK_S, _THOROUGH_S = 0.15, 3.0
"""The CPU time that a question may take of either worker. To look into hundreds of libraries takes 0.05 s."""
_MOST_CPU_S = 2.0
"""More than its budget: for steps that are not broken off in the middle, such as sorting a table."""
_MOST_COSTLY = 4096
_COSTLY = (Reason.OVER_BUDGET, Reason.STALLED)
"""The reasons for which a question, and all others of its lane, go to the second worker."""

_EXITED = encode(Failed(Reason.EXITED, "it has exited"))

ROOT_USER = 0


class Workers:
    """Where workers for questions about targets come from. Lifetime: a recording."""

    def __init__(self, options: Sequence[str] = (), server: ForkServer | None = None) -> None:
        """`options`: arguments for every worker. A `server` that was started before is closed here."""
        self._options = tuple(options)
        self._server = server if server is not None else ForkServer()

    def start(self, budget_s: float) -> DeadlineWorker:
        """A worker whose questions may take so many CPU seconds each."""
        arguments = [*self._options, f"--budget={budget_s}"]
        return DeadlineWorker(self._server, arguments, most_cpu_s=budget_s + _MOST_CPU_S)

    def cpu_s(self) -> float:
        """What it has cost to start workers."""
        return self._server.cpu_s()

    def close(self) -> None:
        """Starts no more. Safe to call twice."""
        self._server.close()


class Ask(Protocol):
    """Puts a question; `then` is called later with its answer.

    A question that is asked `soon` comes before all others, because samples wait for it. Among such ones,
    the users (by uid) whose processes the questions are about take turns, and so do the processes of each.
    What takes long for usual files, too, is asked of the `thorough` worker: no sample waits behind it.
    """

    def __call__(
        self,
        question: Question[AnswerT],
        then: Callable[[AnswerT | Failed], None],
        *,
        user: int = ROOT_USER,
        soon: bool = False,
        thorough: bool = False,
    ) -> None: ...


class Readable(Protocol):
    """Something to wait for."""

    def fileno(self) -> int:
        """A descriptor that becomes readable."""


class Asker:
    """Typed questions for two workers: one for what is quick, another for what is not. It closes all workers.

    The second is started by the first question that takes the quick one too much CPU time, or on which it
    waits for too long. What is costly once is asked of it alone from then on, so that nothing else waits for
    it. Answers are handed out while somebody waits: a caller is never called back in the middle of its work.
    """

    def __init__(self, workers: Workers) -> None:
        self._source = workers
        self._quick = workers.start(_QUICK_S)
        self._thorough: DeadlineWorker | None = None
        self._costly: OrderedDict[Lane, None] = OrderedDict()
        self._awaited: dict[int, int] = {}
        self._poll = select.poll()

    def ask(
        self,
        question: Question[AnswerT],
        then: Callable[[AnswerT | Failed], None],
        *,
        user: int = ROOT_USER,
        soon: bool = False,
        thorough: bool = False,
    ) -> None:
        """As `Ask` says. What stalls or breaks off goes to the second worker, and is `Failed` after that."""
        lane = question.lane()
        is_costly = thorough or lane in self._costly

        def answered(message: bytes | Stalled) -> None:
            answer = _answer_in(message, question)
            if isinstance(answer, Failed) and answer.reason in _COSTLY and not is_costly:
                keep(self._costly, lane, None, most=_MOST_COSTLY)
                self.ask(question, then, user=user, soon=soon)
            else:
                then(answer)

        worker = self._for_costly() if is_costly else self._quick
        tries = 2 if is_costly else 1
        worker.submit(encode(question), answered, user=user, lane=lane, soon=soon, tries=tries)

    def pending(self) -> bool:
        """Whether any answer is still owed."""
        return any(worker.pending() for worker in self._workers())

    def wait(self, longest_s: float, also: Sequence[Readable] = ()) -> Collection[int]:
        """Waits for an answer, for one of `also` or for `longest_s`, and hands out the answers that came.

        Returns the descriptors that are ready.
        """
        awaited = {each.fileno(): select.POLLIN for each in also}
        for worker in self._workers():
            if worker.fileno() >= 0:
                awaited[worker.fileno()] = worker.awaits()
            timeout_s = worker.timeout_s()
            if timeout_s is not None:
                longest_s = min(longest_s, timeout_s)
        ready = dict(self._poll_of(awaited).poll(math.ceil(min(max(0.0, longest_s), _LONGEST_S) * 1000)))
        for worker in self._workers():
            if worker.fileno() in ready or worker.timeout_s() == 0:
                worker.collect()
        return ready.keys()

    def wait_for_all(self, longest_s: float) -> None:
        """Waits until no answer is owed any more, for `longest_s` at most, and hands them out."""
        end_s = time.monotonic() + longest_s
        while self.pending() and (left_s := end_s - time.monotonic()) > 0:
            self.wait(left_s)

    def exited(self, pid: int) -> None:
        """The process is over: what samples wait for, and is not under way, fails without a look at it.

        So what is asked and not answered does not pile up where we get too little CPU time.
        """
        for worker in self._workers():
            worker.settle((pid,), _EXITED)

    def drop_questions(self) -> None:
        """Forgets all that have no answer yet: nobody wants to know any more. The next one waits for none."""
        for worker in self._workers():
            worker.drop()

    def usage(self) -> Usage:
        """What the workers have cost so far."""
        usages = [worker.usage() for worker in self._workers()]
        return Usage(
            self._source.cpu_s() + sum(usage.cpu_s for usage in usages),
            # Each shares the pages of the process that forked it: that is not counted once more.
            sum(usage.max_rss_bytes for usage in usages),
            sum(usage.replaced for usage in usages),
        )

    def close(self) -> None:
        """Ends the workers. Safe to call twice."""
        for worker in self._workers():
            worker.close()
        self._source.close()

    def _poll_of(self, awaited: dict[int, int]) -> select.poll:
        """Awaits these events by descriptor: as a rule the same as the last time."""
        if awaited != self._awaited:
            self._awaited, self._poll = awaited, select.poll()
            for fd, events in awaited.items():
                self._poll.register(fd, events)
        return self._poll

    def _for_costly(self) -> DeadlineWorker:
        if self._thorough is None:
            self._thorough = self._source.start(_THOROUGH_S)
        return self._thorough

    def _workers(self) -> list[DeadlineWorker]:
        return [self._quick, *([self._thorough] if self._thorough is not None else [])]


def _answer_in(message: bytes | Stalled, question: Question[AnswerT]) -> AnswerT | Failed:
    if isinstance(message, Stalled):
        return Failed(Reason.STALLED, str(message))
    try:
        return decode_answer(message, question)
    except NotUnderstood as error:
        return Failed(Reason.UNSUPPORTED, f"the worker's answer is broken: {error}")
