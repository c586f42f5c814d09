"""Questions that cost too much, asked of real workers: they go to the second one, and delay nobody."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from symbolizers.asker import Asker, Workers
from symbolizers.errors import Reason
from symbolizers.process.deadline import DeadlineWorker
from symbolizers.questions import (
    Answer,
    Failed,
    Inspect,
    Inspected,
    NameOffsets,
    Names,
    ReadSandbox,
    Sandboxed,
)
from tests.support.elf_programs import build
from tests.support.file_keys import opened_key

SYMBOLS = 2_000_000
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def costly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with two million function symbols, as far as its symbol table says."""
    program = build(tmp_path_factory.mktemp("costly"), "costly")
    data = bytearray(program.read_bytes())
    sections, count = struct.unpack_from("<Q", data, 0x28)[0], struct.unpack_from("<H", data, 0x3C)[0]
    for at in range(sections, sections + 64 * count, 64):
        if struct.unpack_from("<I", data, at + 4)[0] == 2:  # SHT_SYMTAB
            struct.pack_into("<QQ", data, at + 24, len(data), SYMBOLS * 24)
    symbols = b"".join(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, address, 1) for address in range(SYMBOLS, 0, -1))
    program.write_bytes(data + symbols)
    return program


@pytest.fixture
def asker() -> Iterator[Asker]:
    with closing(Asker(Workers())) as made:
        yield made


def ask(asker: Asker, question: NameOffsets | Inspect, into: list[Answer]) -> None:
    def answered(answer: Answer) -> None:
        into.append(answer)

    asker.ask(question, answered)


def wait(asker: Asker, *answers: list[Answer]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not all(answers):
        assert time.monotonic() < end_s
        asker.wait(1.0)


def test_a_costly_question_is_answered_and_delays_nobody(asker: Asker, costly: Path) -> None:
    named: list[Answer] = []
    quick: list[Answer] = []
    key = opened_key(costly)
    ask(asker, NameOffsets(key, str(costly), (0x1000,)), named)
    ask(asker, Inspect(os.getpid()), quick)
    wait(asker, quick)
    assert isinstance(quick[0], Inspected)
    assert not named, "it is still at work"
    wait(asker, named)
    assert isinstance(named[0], (Names, Failed)), named
    usage = asker.usage()
    assert usage.replaced == 0
    again: list[Answer] = []
    ask(asker, NameOffsets(key, str(costly), (0x1008,)), again)
    ask(asker, Inspect(os.getpid()), quick)
    wait(asker, again)
    assert asker.usage().cpu_s - usage.cpu_s < 3.5, "the first worker was not asked again"


def test_what_is_known_to_take_long_is_asked_of_the_second_at_once(asker: Asker) -> None:
    told: list[Answer] = []

    def answered(answer: Answer) -> None:
        told.append(answer)

    asker.ask(ReadSandbox(), answered, thorough=True)
    wait(asker, told)
    assert len(asker._workers()) == 2
    assert isinstance(told[0], Sandboxed)


def test_what_the_first_worker_waits_for_is_asked_of_the_second(asker: Asker) -> None:
    first: list[Answer] = []
    again: list[Answer] = []
    ask(asker, Inspect(os.getpid()), first)
    wait(asker, first)
    assert asker._quick._pid is not None
    os.kill(asker._quick._pid, signal.SIGSTOP)  # as if it waited for a lock of that process
    ask(asker, Inspect(os.getpid()), again)
    wait(asker, again)
    assert isinstance(again[0], Inspected)
    assert asker.usage().replaced == 1
    assert asker._thorough is not None, "what may wait again is kept from the first one"


def test_what_costs_even_the_second_worker_too_much_is_over_budget(costly: Path) -> None:
    class Hurried(Workers):
        def start(self, budget_s: float) -> DeadlineWorker:
            return super().start(0.05)

    with closing(Asker(Hurried())) as asker:
        answers: list[Answer] = []
        ask(asker, NameOffsets(opened_key(costly), str(costly), (0x1000,)), answers)
        wait(asker, answers)
        assert isinstance(answers[0], Failed)
        assert answers[0].reason is Reason.OVER_BUDGET
        healthy: list[Answer] = []
        ask(asker, Inspect(os.getpid()), healthy)
        wait(asker, healthy)
        assert isinstance(healthy[0], Inspected)
        assert asker.usage().replaced == 0


def test_of_a_process_that_has_exited_what_samples_wait_for_is_not_asked(asker: Asker) -> None:
    """But for what is under way: the worker never sees the rest."""
    answers: list[list[Answer]] = [[], [], []]
    for found, soon in zip(answers, (True, True, False), strict=True):
        asker.ask(Inspect(os.getpid()), found.append, soon=soon)
    asker.exited(os.getpid())
    assert not any(answers), "nobody is called back in the middle of its work"
    assert asker.pending()
    wait(asker, *answers)
    kinds = [type(found[0]) for found in answers]
    # The first is under way, if the worker is there already.
    assert kinds[1:] == [Failed, Inspected]
    assert all(
        each.reason is Reason.EXITED for found in answers for each in found if isinstance(each, Failed)
    )
    assert not asker.pending()
