"""When tables of generated code are asked for, and which samples wait for them."""

from __future__ import annotations

import struct
import time
from itertools import pairwise
from typing import cast

import pytest

from profiler.capture.records import RawSample, StackCopy
from profiler.capture.source import SampleSource
from profiler.run.stacks import CodeMap
from profiler.run.unwinding import Unwinding
from symbolizers.elf.unwind_rules import AWAITED, ROOT, Cfa, packed
from symbolizers.errors import FaultReason, ProcessGone, ReadFault, Stalled, SymbolizeError
from symbolizers.inspection import CHUNK_BYTES, CodeMapping, KernelKey, generated_by, generated_key
from symbolizers.process.identity import ProcessId
from symbolizers.questions import GeneratedChunks, ReadGenerated
from tests.support.asked import Questions
from tests.support.samples import raw_sample

UID, BASE = 1000, 0x10_0000
PROCESS = raw_sample().process
OTHER = ProcessId(PROCESS.pid + 1, 5)
CODE = CodeMap((CodeMapping(BASE, BASE + 0x1000, 0, None, ""),), generated_by(PROCESS, UID))
SP_8 = packed(Cfa.STACK_POINTER, 8, 0)
CHUNK = bytes(CHUNK_BYTES)


class Source:
    """Has a table of each process that it is given; what has the address `new` is in the second one."""

    def __init__(self) -> None:
        self.put: list[tuple[ProcessId, int, bytes]] = []
        self.dropped: list[ProcessId] = []
        self.second = SP_8

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        assert file == generated_key(PROCESS)
        if offset >= 0x800:
            return ROOT
        return SP_8 if offset < 0x400 else AWAITED if len(self.put) < 2 else self.second

    def put_generated(self, process: ProcessId, base: int, chunks: bytes) -> None:
        self.put.append((process, base, chunks))

    def drop_generated(self, process: ProcessId) -> None:
        self.dropped.append(process)


class Run:
    """A recording at a time that the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.source, self.questions = Source(), Questions()
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(time, "monotonic_ns", lambda: int(self.now_s * 1e9))
        self.unwinding = Unwinding(self.questions.ask, cast("SampleSource", self.source))
        self.later: list[RawSample] = []

    def lacks(self, process: ProcessId = PROCESS) -> bool:
        return self.unwinding.lacks_generated(process, UID)

    def answer(self, cost_s: float = 0.0) -> None:
        self.questions.take().answer(GeneratedChunks(BASE, cost_s, 1, CHUNK))

    def follow(self) -> RawSample | None:
        """A sample of now, whose leaf is in new code; its caller is the root."""
        content = struct.pack("<2Q", BASE + 0x900, 0)
        copy = StackCopy(0, 5, BASE + 0x500, 0x7000, 0, 0, True, 1, content)
        sample = raw_sample(
            time_ns=int(self.now_s * 1e9), user=(BASE + 0x500,), lacks_table=True, user_end=3, copy=copy
        )
        return self.unwinding.follow(sample, CODE, UID, self.later.append)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


def test_a_process_whose_stacks_end_in_generated_code_is_asked_about(run: Run) -> None:
    assert run.lacks()
    [asked] = run.questions.open
    assert (asked.question, asked.user) == (ReadGenerated(PROCESS, 0), UID)
    assert run.lacks()
    assert len(run.questions.open) == 1, "not while an answer is owed"
    run.answer()
    assert run.source.put == [(PROCESS, BASE, CHUNK)]


def test_a_large_table_comes_in_parts_of_the_same_one(run: Run) -> None:
    run.lacks()
    run.questions.take().answer(GeneratedChunks(BASE, 0.1, 3, 2 * CHUNK))
    last = run.questions.take()
    assert last.question == ReadGenerated(PROCESS, 2)
    last.answer(GeneratedChunks(BASE, 0.0, 3, CHUNK))
    assert run.source.put == [(PROCESS, BASE, 3 * CHUNK)]
    run.now_s += 60
    run.lacks()
    run.questions.take().answer(GeneratedChunks(BASE, 0.1, 3, 2 * CHUNK))
    run.questions.take().answer(GeneratedChunks(BASE, 0.0, 4, 2 * CHUNK))
    assert len(run.source.put) == 1, "another worker has made another table"


def test_it_is_made_anew_as_often_as_that_costs_a_few_per_cent(run: Run) -> None:
    run.lacks()
    run.answer(cost_s=0.08)
    asked = []
    for _ in range(100):
        run.now_s += 0.1
        run.lacks()
        if run.questions.open:
            asked.append(round(run.now_s - 100, 1))
            run.answer(cost_s=0.08)
    assert [later - earlier for earlier, later in pairwise(asked[2:])] == pytest.approx([2.0] * 4, abs=0.11)
    assert asked[:2] == [0.1, 0.2], "what is there at first"


def test_what_was_not_in_memory_yet_is_asked_for_again_and_again(run: Run) -> None:
    asked = 0
    for _ in range(3000):
        run.now_s += 0.1
        run.lacks()
        if run.questions.open:
            run.questions.take().answer(ReadFault(7, FaultReason.WOULD_FAULT))
            asked += 1
    assert 10 < asked < 16
    assert run.source.put == []


@pytest.mark.parametrize("error", [SymbolizeError("nothing describes it"), Stalled("it takes too long")])
def test_what_is_in_vain_is_not_asked_again_soon(run: Run, error: SymbolizeError) -> None:
    run.lacks()
    run.questions.take().answer(error)
    for _ in range(590):
        run.now_s += 0.1
        assert not run.lacks(), "its samples count without a look at each"
    assert run.questions.open == []


def test_a_sample_in_new_code_waits_for_the_next_table(run: Run) -> None:
    run.lacks()
    run.answer()
    run.now_s += 1
    assert run.follow() is None
    assert list(run.unwinding.users_held()) == [UID]
    run.answer()
    [sample] = run.later
    assert (sample.user, sample.user_end, sample.lacks_table) == ((BASE + 0x500, BASE + 0x900), 0, False)
    assert list(run.unwinding.users_held()) == []


def test_it_waits_for_one_that_is_made_after_it(run: Run) -> None:
    run.source.second = AWAITED
    run.lacks()
    run.answer()
    run.now_s += 1
    assert run.follow() is None
    run.now_s += 1
    assert run.follow() is None, "while the answer to an older question is owed"
    run.answer()
    assert len(run.later) == 1
    run.now_s += 1
    assert run.follow() is None
    run.answer()
    assert len(run.later) == 3, "code that was thrown away: nobody will know more"
    assert all(sample.lacks_table for sample in run.later)


def test_without_a_table_nothing_waits(run: Run) -> None:
    assert run.follow() is not None


@pytest.mark.parametrize("by_answer", [True, False])
def test_a_process_that_is_over_leaves_nothing_that_waits(run: Run, by_answer: bool) -> None:
    run.lacks()
    run.answer()
    run.now_s += 1
    run.follow()
    if by_answer:
        run.questions.take().answer(ProcessGone("it exited"))
    else:
        run.unwinding.forget(PROCESS)
        run.questions.take().answer(GeneratedChunks(BASE, 0.0, 1, CHUNK))
        assert run.source.dropped == [PROCESS]
        assert len(run.source.put) == 1, "a table of a program that is over"
    assert [sample.lacks_table for sample in run.later] == [True]


def test_who_had_no_table_has_none_to_drop(run: Run) -> None:
    run.lacks(OTHER)
    run.unwinding.forget(OTHER)
    run.unwinding.forget(PROCESS)
    assert run.source.dropped == []
