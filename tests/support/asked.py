"""A strict fake of the way to ask: it keeps the questions, and a test gives the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from symbolizers.base import TaskChain
from symbolizers.errors import SymbolizeError
from symbolizers.inspection import Inspection
from symbolizers.questions import Answer, AnswerT, Awaiters, Failed, Inspected, Question

Said = Answer | Inspection | TaskChain | SymbolizeError


@dataclass(frozen=True)
class Asked:
    """A question that is open."""

    question: Question[Answer]
    soon: bool
    user: int
    then: Callable[[Answer], None]

    def answer(self, said: Said) -> None:
        """Answers it; `said` may be what the service gives, without the type of the answer around it."""
        answer = as_answer(said)
        assert isinstance(answer, (Failed, self.question.answered_by())), (self.question, answer)
        self.then(answer)


def as_answer(said: Said) -> Answer:
    if isinstance(said, SymbolizeError):
        return Failed(said.reason, str(said))
    if isinstance(said, Inspection):
        return Inspected(said)
    return Awaiters(said) if isinstance(said, TaskChain) else said


class Questions:
    """The open questions, oldest first; `ask` is the fake."""

    def __init__(self) -> None:
        self.open: list[Asked] = []

    def ask(
        self,
        question: Question[AnswerT],
        then: Callable[[AnswerT | Failed], None],
        *,
        user: int = 0,
        soon: bool = False,
        thorough: bool = False,
    ) -> None:
        self.open.append(Asked(question, soon, user, cast(Callable[[Answer], None], then)))

    def take(self) -> Asked:
        """The only question that is open."""
        (asked,) = self.take_all()
        return asked

    def take_all(self) -> list[Asked]:
        taken, self.open = self.open, []
        return taken
