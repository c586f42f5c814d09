"""Which unwind tables are asked for, and when."""

from __future__ import annotations

import struct
import time
from typing import cast

import pytest

from profiler.capture.records import RawSample, StackCopy
from profiler.capture.source import SampleSource
from profiler.run import held
from profiler.run.stacks import CodeMap
from profiler.run.unwinding import Unwinding
from symbolizers.elf.unwind_rules import Cfa, packed
from symbolizers.errors import ProcessGone, Stalled
from symbolizers.inspection import (
    CHUNK_BYTES,
    IDENTIFIED_VDSO,
    VDSO,
    CodeMapping,
    FileKey,
    IdentifiedFile,
    KernelKey,
)
from symbolizers.questions import Identified, IdentifyFiles, ReadUnwinding, UnwindChunks
from tests.support.asked import Asked, Questions
from tests.support.samples import raw_sample, told_file

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
LIBRARY_KEY = KernelKey((8, 1), 12, 5)
SP_8 = packed(Cfa.STACK_POINTER, 8, 0)


class Source:
    """Keeps what it is given; some tables are `kept` from an earlier run."""

    def __init__(self, *kept: KernelKey) -> None:
        self.kept = kept
        self.put: list[tuple[KernelKey, int, bytes]] = []
        self.looked_up: list[KernelKey] = []

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        """Each function in a table is one word above its caller."""
        return SP_8 if file in [*self.kept, *(key for key, *_ in self.put)] else None

    def has_table(self, file: KernelKey, owner: int) -> bool:
        self.looked_up.append(file)
        return file in self.kept

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        self.put.append((file, owner, chunks))


def started(source: Source) -> tuple[Unwinding, Questions]:
    questions = Questions()
    return Unwinding(questions.ask, cast("SampleSource", source)), questions


def want(unwinding: Unwinding, user: tuple[int, ...], code: CodeMap = CODE) -> None:
    """A stack of these addresses lacks tables, and there is no copy of it."""
    sample = raw_sample(pid=PID, user=user, lacks_table=True)
    assert unwinding.follow(sample, code, UID, lambda found: None) is sample


def files_of(asked: Asked) -> list[FileKey]:
    assert isinstance(asked.question, IdentifyFiles)
    return [each.file for each in asked.question.files]


def identified(*keys: KernelKey | None) -> Identified:
    return Identified(tuple(key and IdentifiedFile(key, 0) for key in keys))


def test_files_on_the_stack_come_first_and_get_their_table() -> None:
    source = Source()
    unwinding, questions = started(source)
    want(unwinding, (0x5010, 0x1100, 0xA010))
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
    want(unwinding, (0x1100,))
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
        want(unwinding, (0x5010, 0x5020))
    assert [files_of(each) for each in questions.take_all()] == [[LIBRARY], [PROGRAM, OTHER]]
    want(unwinding, (0x8010,))
    assert [files_of(each) for each in questions.take_all()] == [[OTHER]], "it was not to be made before"


def test_a_file_that_fails_costs_no_other_its_answer() -> None:
    unwinding, questions = started(Source())
    want(unwinding, (0x5010, 0x1100))
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
    want(unwinding, tuple(at + 0x10 for at in starts), code)
    asked = [files_of(each) for each in questions.take_all()]
    assert [len(each) for each in asked] == [32, 32, 32, 4]
    assert sorted(file for each in asked for file in each) == sorted(files)


def test_a_table_that_had_to_make_room_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unwinding, questions = started(Source())
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    asked = []
    for _ in range(20):
        want(unwinding, (0x1100,))
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
        want(unwinding, (0x1100,))
        needed = questions.take_all()[0]
        now_s[0] += 60
        want(unwinding, (0x1100,))
        assert not questions.take_all()
        needed.answer(step)
    now_s[0] += 1
    want(unwinding, (0x1100,))
    assert not questions.take_all(), "the pause begins with the last answer"
    now_s[0] += 60
    want(unwinding, (0x1100,))
    assert questions.take().question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)


def test_a_table_that_is_there_is_not_made() -> None:
    unwinding, questions = started(Source(KEY))
    want(unwinding, (0x1100,))
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
    want(unwinding, (0x1100,))
    read, others = questions.take_all()
    assert read.question == ReadUnwinding(PROGRAM, "/bin/program", 0, PID)
    assert files_of(others) == [LIBRARY, OTHER]


def test_a_file_that_is_gone_has_no_table() -> None:
    source = Source()
    unwinding, questions = started(source)
    want(unwinding, (0x1100,))
    questions.take_all()[0].answer(ProcessGone("it exited"))
    assert (questions.open, source.put) == ([], [])


def test_what_was_kept_is_put_in_for_processes_that_run_already() -> None:
    source = Source()
    unwinding, questions = started(source)
    opened = FileKey((8, 1), 11, (100, 4, 5))
    unwinding.preload([opened, PROGRAM, VDSO, opened])
    assert (questions.open, source.looked_up) == ([], [IDENTIFIED_VDSO.key, KEY])


@pytest.mark.parametrize("is_kept", [True, False])
def test_on_a_device_that_is_known_what_was_kept_is_put_in_without_a_question(is_kept: bool) -> None:
    """It is known from what was put in before, or from what the worker said of another file."""
    first, second, elsewhere = (
        FileKey((8, device), inode, (100, 4, 5)) for device, inode in ((1, 11), (1, 13), (2, 14))
    )
    files = [first, second, elsewhere]
    mappings = [CodeMapping(at << 12, (at + 1) << 12, 0, file, "/x") for at, file in enumerate(files, 1)]
    source = Source(*([KEY] if is_kept else []))
    unwinding, questions = started(source)
    unwinding.preload(files[:1])
    want(unwinding, (0x1010,), CodeMap(mappings[:1]))
    asked = questions.take_all()
    assert [files_of(each) for each in asked] == ([] if is_kept else [[first]])
    for each in asked:
        each.answer(identified(KEY))
    questions.take_all()
    want(unwinding, (0x1010,), CodeMap(mappings))
    assert files_of(questions.take()) == [elsewhere]
    assert source.looked_up[-1] == OTHER_KEY


class Follower:
    """Samples with a copy of their stack: the leaf in the program, below it these return addresses."""

    def __init__(self, source: Source) -> None:
        self.unwinding, self.questions = started(source)
        self.later: list[RawSample] = []

    def follow(self, *callers: int) -> RawSample | None:
        content = struct.pack(f"<{len(callers) + 1}Q", *callers, 0)
        copy = StackCopy(0, 5, 0x1100, 0x7000, 0, 0, True, 1, content)
        sample = raw_sample(pid=PID, user=(0x1100, 0x666), lacks_table=True, user_end=3, copy=copy)
        return self.unwinding.follow(sample, CODE, UID, self.later.append)

    def identify(self, *keys: KernelKey | None) -> None:
        self.questions.take_all()[0].answer(identified(*keys))

    def read(self) -> None:
        self.questions.take_all()[-1].answer(UnwindChunks(1, bytes(CHUNK_BYTES)))


def test_a_sample_waits_for_all_tables_that_its_stack_leads_through() -> None:
    to = Follower(Source())
    assert to.follow(0x1200, 0x5010, 0x1300) is None
    assert list(to.unwinding.users_held()) == [UID]
    to.identify(KEY)
    to.read()
    assert to.later == [], "the next file"
    to.identify(LIBRARY_KEY)
    to.read()
    [sample] = to.later
    assert (sample.user, sample.user_end) == ((0x1100, 0x1200, 0x5010, 0x1300), 0)
    assert (sample.lacks_table, sample.copy) == (False, None)
    assert list(to.unwinding.users_held()) == []
    now = to.follow(0x1200)
    assert now is not None, "the table is there by now"
    assert now.user == (0x1100, 0x1200)


def test_a_table_that_an_earlier_run_has_kept_is_followed_at_once() -> None:
    to = Follower(Source(KEY))
    to.unwinding.learn(PROGRAM, IdentifiedFile(KEY, 0))
    now = to.follow(0x1200)
    assert now is not None
    assert now.user == (0x1100, 0x1200)


def test_a_table_that_never_comes_leaves_the_sample_as_it_was() -> None:
    to = Follower(Source())
    assert to.follow(0x1200) is None
    to.questions.take_all()[0].answer(ProcessGone("it exited"))
    [sample] = to.later
    assert (sample.user, sample.user_end, sample.lacks_table) == ((0x1100, 0x666), 3, True)
    again = to.follow(0x1200)
    assert again is not None, "no table is on its way: nothing waits"
    assert again.user == (0x1100, 0x666)


def test_a_table_that_is_too_costly_leaves_the_sample_as_it_was() -> None:
    to = Follower(Source())
    assert to.follow(0x1200) is None
    to.identify(KEY)
    to.questions.take_all()[-1].answer(Stalled("it takes too long"))
    assert [sample.lacks_table for sample in to.later] == [True]


def test_at_the_end_nothing_waits_any_more() -> None:
    to = Follower(Source())
    assert to.follow(0x1200) is None
    to.unwinding.finish()
    assert [sample.user for sample in to.later] == [(0x1100, 0x666)]
    last = to.follow(0x1200)
    assert last is not None, "not even what comes then"
    assert last.lacks_table


def test_what_has_no_room_is_handed_on_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_BYTES", 3000)
    to = Follower(Source())
    assert to.follow(0x1200) is None
    second = to.follow(0x1200)
    assert second is not None
    assert second.lacks_table
