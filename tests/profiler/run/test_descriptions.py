"""When the worker is asked what a process is, and what is known until it answers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from profiler.capture.records import CodeMapped, Forked, ProcessEvent, RawSample
from profiler.run import descriptions
from profiler.run.descriptions import Descriptions
from symbolizers.errors import Reason
from symbolizers.inspection import CodeMapping
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Describe, Described, Failed
from tests.support.asked import Questions
from tests.support.samples import raw_sample, repeated, told_file

SHELL = Description("/bin/sh", ("sh", "-c", "app"), "web")
APP = Description("/opt/app", ("app",), "web")


class Asking:
    """Descriptions among fakes."""

    def __init__(self) -> None:
        self.questions = Questions()
        self.met: list[tuple[ProcessId, Description]] = []
        self.learnt: list[tuple[ProcessId, Description]] = []
        self.descriptions = Descriptions(
            self.questions.ask,
            meet=lambda sample, known: self.met.append((sample.process, known)),
            learn=lambda process, known: self.learnt.append((process, known)),
        )

    def begins(self, pid: int, *paths: str) -> None:
        """The process runs a program that maps these files."""
        self.descriptions.mapped(CodeMapped(pid, 0, None))
        for number, path in enumerate(paths):
            mapping = CodeMapping(4096 * number, 4096 * (number + 1), 0, told_file(number), path)
            self.descriptions.mapped(CodeMapped(pid, 0, mapping))

    def event(self, sample: RawSample, *, exited: bool) -> None:
        self.descriptions.event(ProcessEvent(sample.process, 0, sample.start_ns, exited))


def test_a_process_is_asked_about_once() -> None:
    asking, sample = Asking(), replace(raw_sample(uid=1000), cgroup=5)
    for _ in range(3):
        asking.descriptions.sample(sample)
    assert asking.met == [(sample.process, Description())]
    asked = asking.questions.take()
    assert asked.question == Describe(sample.process, 5)
    assert (asked.user, asked.soon) == (1000, False)
    asked.answer(Described(SHELL))
    assert asking.learnt == [(sample.process, SHELL)]


def test_another_program_or_another_cgroup_is_asked_about_again() -> None:
    asking, sample = Asking(), raw_sample()
    asking.descriptions.sample(sample)
    first = asking.questions.take()
    asking.event(sample, exited=False)
    first.answer(Described(SHELL))
    in_container = Description(container="web")
    assert asking.learnt == [(sample.process, in_container)], "the rest may be about another program"
    asking.descriptions.sample(sample)
    asking.questions.take().answer(Described(APP))
    asking.descriptions.sample(replace(sample, cgroup=9))
    assert asking.questions.take().question == Describe(sample.process, 9)
    assert [process for process, _ in asking.met] == [sample.process] * 2, "it is the same program still"
    assert asking.learnt[1:] == [(sample.process, APP)]


def test_equal_samples_of_a_new_program_ask_too() -> None:
    asking, sample = Asking(), raw_sample()
    again = repeated(sample, 3)
    for _ in range(2):
        asking.descriptions.again(again)
    asking.questions.take().answer(Described(SHELL))
    asking.event(sample, exited=False)
    asking.descriptions.again(again)
    assert asking.questions.take().question == Describe(sample.process, 0)


def test_of_a_program_that_is_over_its_file_is_known_by_what_it_mapped_first() -> None:
    asking, sample = Asking(), raw_sample()
    asking.descriptions.mapped(Forked(7, 0, 1))
    asking.begins(7, "/opt/app", "/lib/ld.so")
    asking.begins(8, "/bin/other")
    asking.descriptions.sample(sample)
    asking.event(sample, exited=True)
    known = Description("/opt/app", (), "web")
    asking.questions.take().answer(Described(Description(container="web")))
    assert asking.met == [(sample.process, Description(executable="/opt/app"))]
    assert asking.learnt == [(sample.process, known)]
    later = raw_sample(start_ns=2_000_000_000)
    asking.descriptions.sample(later)
    assert asking.met[1:] == [(later.process, Description())], "the pid is another process's now"


def test_a_question_that_fails_leaves_what_is_known() -> None:
    asking = Asking()
    asking.descriptions.sample(raw_sample())
    asking.questions.take().answer(Failed(Reason.STALLED, ""))
    assert asking.learnt == []


def test_what_has_exited_is_asked_about_once_and_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "_MOST_EXITED", 2)
    asking = Asking()
    samples = [raw_sample(pid=pid) for pid in (1, 2, 3)]
    for sample in samples:
        asking.descriptions.sample(sample)
        asking.event(sample, exited=True)
        asking.descriptions.sample(sample)
    assert [met for met, _ in asking.met] == [sample.process for sample in samples]
    asking.descriptions.sample(samples[0])
    assert asking.met[-1][0] == samples[0].process, "it was forgotten"
    asking.descriptions.sample(samples[2])
    assert len(asking.met) == 4


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "_MOST_PROCESSES", 3)
    monkeypatch.setattr(descriptions, "_MOST_EXECUTABLES", 3)
    asking = Asking()
    for pid in range(1, 9):
        asking.begins(pid, "/bin/app")
        asking.descriptions.sample(raw_sample(pid=pid))
    asking.questions.take_all()
    asking.descriptions.sample(raw_sample(pid=8))
    assert asking.questions.open == []
    asking.descriptions.sample(raw_sample(pid=1))
    assert asking.met[-1][1] == Description()
    assert len(asking.questions.open) == 1


def test_while_many_questions_are_open_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would pile up where we get too little CPU time."""
    monkeypatch.setattr(descriptions, "_MOST_OPEN", 2)
    asking, samples = Asking(), [raw_sample(pid=pid) for pid in (1, 2, 3)]
    for sample in samples:
        asking.descriptions.sample(sample)
    first, _ = asking.questions.take_all()
    first.answer(Described(SHELL))
    asking.descriptions.sample(samples[2])
    assert asking.questions.take().question == Describe(samples[2].process, 0)
