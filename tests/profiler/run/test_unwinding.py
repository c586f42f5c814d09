"""Which unwind tables are asked for, and when."""

from __future__ import annotations

import time
from typing import cast

import pytest

from profiler.capture.source import SampleSource
from profiler.run.stacks import CodeMap
from profiler.run.unwinding import Unwinding
from symbolizers.errors import ProcessGone, Stalled
from symbolizers.inspection import CHUNK_BYTES, VDSO, CodeMapping, FileKey, IdentifiedFile, KernelKey
from symbolizers.questions import Identified, IdentifyFiles, ReadUnwinding, UnwindChunks
from tests.support.asked import Asked, Questions
from tests.support.samples import told_file

PROGRAM, LIBRARY, OTHER = (told_file(number) for number in (11, 12, 13))
CODE = CodeMap(
    (
        CodeMapping(0x1000, 0x3000, 0x400, PROGRAM, "/bin/program"),
        CodeMapping(0x5000, 0x6000, 0, LIBRARY, "/lib/library.so"),
        CodeMapping(0x8000, 0x9000, 0, OTHER, "/lib/other.so"),
        CodeMapping(0xA000, 0xB000, 0, None, ""),
    )
)
PID, UID = 7, 1000
KEY, OTHER_KEY = KernelKey((8, 1), 11, 5), KernelKey((8, 1), 13, 5)


class Source:
    """Keeps what it is given; some tables are `kept` from an earlier run."""

    def __init__(self, *kept: KernelKey) -> None:
        self.kept = kept
        self.put: list[tuple[KernelKey, int, bytes]] = []
        self.looked_up: list[KernelKey] = []

    def has_table(self, file: KernelKey, owner: int) -> bool:
        self.looked_up.append(file)
        return file in self.kept

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        self.put.append((file, owner, chunks))


def started(source: Source) -> tuple[Unwinding, Questions]:
    questions = Questions()
    return Unwinding(questions.ask, cast("SampleSource", source)), questions


def files_of(asked: Asked) -> list[FileKey]:
    assert isinstance(asked.question, IdentifyFiles)
    return [each.file for each in asked.question.files]


def identified(*keys: KernelKey | None) -> Identified:
    return Identified(tuple(key and IdentifiedFile(key, 0) for key in keys))


def test_files_on_the_stack_come_first_and_get_their_table() -> None:
    source = Source()
    unwinding, questions = started(source)
    unwinding.want((0x5010, 0x1100, 0xA010), CODE, PID, UID)
    needed, others = questions.take_all()
    assert [files_of(each) for each in (needed, others)] == [[LIBRARY, PROGRAM], [OTHER]]
    assert [(each.soon, each.user) for each in (needed, others)] == [(True, UID), (False, UID)]
    others.answer(identified(OTHER_KEY))
    needed.answer(identified(None, KEY))
    read = questions.take()
    assert read.question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)
    read.answer(UnwindChunks(1, bytes(CHUNK_BYTES)))
    assert source.put == [(KEY, 0, bytes(CHUNK_BYTES))]
    assert source.looked_up == [OTHER_KEY, KEY]


def test_a_large_table_comes_in_several_answers() -> None:
    source = Source()
    unwinding, questions = started(source)
    unwinding.want((0x1100,), CODE, PID, UID)
    questions.take_all()[0].answer(identified(KEY))
    questions.take().answer(UnwindChunks(3, bytes(2 * CHUNK_BYTES)))
    assert source.put == []
    rest = questions.take()
    assert rest.question == ReadUnwinding(PROGRAM, "/bin/program", 2, PID)
    rest.answer(UnwindChunks(3, bytes(CHUNK_BYTES)))
    assert source.put == [(KEY, 0, bytes(3 * CHUNK_BYTES))]


def test_no_file_is_asked_about_twice() -> None:
    unwinding, questions = started(Source())
    for _ in range(2):
        unwinding.want((0x5010, 0x5020), CODE, PID, UID)
    assert [files_of(each) for each in questions.take_all()] == [[LIBRARY], [PROGRAM, OTHER]]
    unwinding.want((0x8010,), CODE, PID, UID)
    assert [files_of(each) for each in questions.take_all()] == [[OTHER]], "it was not to be made before"


def test_a_file_that_fails_costs_no_other_its_answer() -> None:
    unwinding, questions = started(Source())
    unwinding.want((0x5010, 0x1100), CODE, PID, UID)
    needed = questions.take_all()[0]
    needed.answer(Stalled("no answer"))
    library, program = questions.take_all()
    assert [files_of(each) for each in (library, program)] == [[LIBRARY], [PROGRAM]]
    library.answer(Stalled("no answer"))
    program.answer(identified(KEY))
    assert questions.take().question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)


def test_a_question_is_about_so_many_files_and_no_more() -> None:
    unwinding, questions = started(Source())
    files = [told_file(number) for number in range(100)]
    starts = range(0x1000, 0x1000 * (len(files) + 1), 0x1000)
    code = CodeMap(
        tuple(CodeMapping(at, at + 0x1000, 0, file, "/x") for at, file in zip(starts, files, strict=True))
    )
    unwinding.want(tuple(at + 0x10 for at in starts), code, PID, UID)
    asked = [files_of(each) for each in questions.take_all()]
    assert [len(each) for each in asked] == [32, 32, 32, 4]
    assert sorted(file for each in asked for file in each) == sorted(files)


def test_a_table_that_had_to_make_room_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unwinding, questions = started(Source())
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    asked = []
    for _ in range(20):
        unwinding.want((0x1100,), CODE, PID, UID)
        for each in questions.take_all():
            if PROGRAM in files_of(each):
                asked.append(now_s[0])
                each.answer(identified(None))
        now_s[0] += 1
    assert asked == [100, 102, 106, 114]


def test_a_file_is_not_asked_about_again_while_an_answer_is_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    unwinding, questions = started(Source())
    for step in (identified(KEY), UnwindChunks(2, bytes(CHUNK_BYTES)), Stalled("it takes too long")):
        unwinding.want((0x1100,), CODE, PID, UID)
        needed = questions.take_all()[0]
        now_s[0] += 60
        unwinding.want((0x1100,), CODE, PID, UID)
        assert not questions.take_all()
        needed.answer(step)
    now_s[0] += 1
    unwinding.want((0x1100,), CODE, PID, UID)
    assert not questions.take_all(), "the pause begins with the last answer"
    now_s[0] += 60
    unwinding.want((0x1100,), CODE, PID, UID)
    assert questions.take().question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)


def test_a_table_that_is_there_is_not_made() -> None:
    unwinding, questions = started(Source(KEY))
    unwinding.want((0x1100,), CODE, PID, UID)
    questions.take_all()[0].answer(identified(KEY))
    assert questions.open == []


def test_a_file_that_is_mapped_gets_what_was_kept_and_no_more() -> None:
    source = Source()
    unwinding, questions = started(source)
    for _ in range(2):
        unwinding.learn(PROGRAM, IdentifiedFile(KEY, 0))
    assert (questions.open, source.looked_up) == ([], [KEY])


def test_a_file_that_is_identified_already_gets_its_table_at_once() -> None:
    unwinding, questions = started(Source())
    unwinding.learn(PROGRAM, IdentifiedFile(KEY, 0))
    unwinding.want((0x1100,), CODE, PID, UID)
    read, others = questions.take_all()
    assert read.question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)
    assert files_of(others) == [LIBRARY, OTHER]


def test_a_file_that_is_gone_has_no_table() -> None:
    source = Source()
    unwinding, questions = started(source)
    unwinding.want((0x1100,), CODE, PID, UID)
    questions.take_all()[0].answer(ProcessGone("it exited"))
    assert (questions.open, source.put) == ([], [])


def test_what_was_kept_is_put_in_for_processes_that_run_already() -> None:
    source = Source()
    unwinding, questions = started(source)
    opened = FileKey((8, 1), 11, (100, 4, 5))
    unwinding.preload([opened, PROGRAM, VDSO, opened])
    assert (questions.open, source.looked_up) == ([], [KEY])
