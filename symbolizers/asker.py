"""Asks the worker and waits for it: the one way for everything that has a question about a target."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from symbolizers.errors import Reason, Stalled
from symbolizers.process.deadline import DeadlineWorker, Usage
from symbolizers.questions import AnswerT, Failed, NotUnderstood, Question, decode_answer, encode

_LONGEST_S = 3600.0
"""poll(2) takes milliseconds in an int."""


class Ask(Protocol):
    """Puts a question; `then` is called later with its answer.

    A question that is asked `soon` comes before all others, because samples wait for it. Among such ones, the
    processes take turns, each with its oldest.
    """

    def __call__(
        self, question: Question[AnswerT], then: Callable[[AnswerT | Failed], None], *, soon: bool = False
    ) -> None: ...


class Readable(Protocol):
    """Something to wait for."""

    def fileno(self) -> int:
        """A descriptor that becomes readable."""


class Asker:
    """Typed questions for a `DeadlineWorker`. Lifetime: that of the worker, which it closes.

    Answers are handed out while somebody waits: a caller is never called back in the middle of its work.
    """

    def __init__(self, worker: DeadlineWorker) -> None:
        self._worker = worker

    def ask(
        self, question: Question[AnswerT], then: Callable[[AnswerT | Failed], None], *, soon: bool = False
    ) -> None:
        """As `Ask` says. A question that stalls twice is answered by `Failed`, as is one that breaks off."""

        def answered(message: bytes | Stalled) -> None:
            then(_answer_in(message, question))

        self._worker.submit(encode(question), answered, lane=question.lane(), soon=soon)

    def pending(self) -> bool:
        """Whether any answer is still owed."""
        return self._worker.pending()

    def wait(self, longest_s: float, also: Sequence[Readable] = ()) -> None:
        """Waits for an answer, for one of `also` or for `longest_s`, and hands out the answers that came."""
        poll = select.poll()
        for each in (self._worker, *also):
            poll.register(each.fileno(), select.POLLIN)
        timeout_s = self._worker.timeout_s()
        if timeout_s is not None:
            longest_s = min(longest_s, timeout_s)
        poll.poll(math.ceil(min(max(0.0, longest_s), _LONGEST_S) * 1000))
        self._worker.collect()

    def wait_for_all(self, longest_s: float) -> None:
        """Waits until no answer is owed any more, for `longest_s` at most, and hands them out."""
        end_s = time.monotonic() + longest_s
        while self.pending() and (left_s := end_s - time.monotonic()) > 0:
            self.wait(left_s)

    def usage(self) -> Usage:
        """What the worker has cost so far."""
        return self._worker.usage()

    def close(self) -> None:
        """Ends the worker. Safe to call twice."""
        self._worker.close()


def _answer_in(message: bytes | Stalled, question: Question[AnswerT]) -> AnswerT | Failed:
    if isinstance(message, Stalled):
        return Failed(Reason.STALLED, str(message))
    try:
        return decode_answer(message, question)
    except NotUnderstood as error:
        return Failed(Reason.UNSUPPORTED, f"the worker's answer is broken: {error}")
