"""What the kernel tells of mappings and forks: programs that are over before anyone could look have names."""

from __future__ import annotations

from profiler.capture.records import CodeMapped, Forked, MappingsLost
from profiler.run.stacks import NativeAddress, Partial
from symbolizers.errors import Malformed, ProcessGone, Reason
from symbolizers.inspection import CodeMapping, FileContents, KernelKey
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Forget, Inspect, LookedInto, LookInto
from tests.support.process_table import (
    ID,
    INTERPRETER,
    MAPPINGS,
    NATIVE,
    NOT_INSPECTED,
    OUTSIDE,
    PID,
    SECOND,
    START_NS,
    Table,
    known,
)
from tests.support.samples import told_file

KEY = KernelKey((8, 1), 5, 6)


def told(table: Table, *mappings: CodeMapping, pid: int = PID) -> None:
    """The kernel tells that a program begins, and what it maps."""
    for mapping in (None, *mappings):
        table.table.mapped(CodeMapped(pid, table.now_ns, mapping))


def test_a_program_whose_files_are_known_needs_no_look() -> None:
    """It may be over before the worker could look: its native and its interpreter's frames have names."""
    table = Table()
    told(table, *MAPPINGS)
    table.event(exited=False)
    file, look = table.questions.take_all()
    assert (file.question, look.question) == (
        LookInto(told_file(5), "/bin/python3", PID),
        Inspect(PID, ID.start_ticks),
    )
    file.answer(LookedInto(FileContents(told_file(5), 0, 0x1000, (INTERPRETER,), ()), KEY))
    moved = INTERPRETER.moved(0)
    assert table.configured == [(PID, START_NS, (moved,))]
    look.answer(ProcessGone("exited"))
    table.event(exited=True, after_ns=SECOND)
    told(table, *MAPPINGS, pid=8)
    table.event(exited=False, pid=8)
    time = table.sample(pid=8, user=(NATIVE,))
    assert table.emitted == {time: (NativeAddress(told_file(5), 0x100, "/bin/python3"),)}
    assert table.configured[1:] == [(8, START_NS, (moved,))]
    assert table.partial == {}
    assert [type(each) for each in table.open] == [Forget]


def test_what_is_over_before_its_file_was_looked_into_may_lack_frames() -> None:
    table = Table()
    told(table, *MAPPINGS)
    table.event(exited=False)
    time = table.sample(user=(NATIVE,))
    table.event(exited=True)
    for asked in table.questions.take_all():
        asked.answer(ProcessGone("exited"))
    native = NativeAddress(told_file(5), 0x100, "/bin/python3")
    assert table.emitted == {time: (NOT_INSPECTED, native)}
    assert table.partial == {time: Partial(Reason.NOT_INSPECTED, leaf=True)}


def test_a_file_that_could_not_be_found_is_asked_about_in_the_next_process() -> None:
    """It has no name here, and the first process that maps it was over too soon."""
    table, asked_in = Table(), []
    for pid in range(20, 40):
        table.table.mapped(Forked(pid, table.now_ns, 3))
        told(table, *MAPPINGS, pid=pid)
        table.event(exited=False, pid=pid)
        table.now_ns += SECOND
        for asked in table.questions.take_all():
            asked_in.append(asked.question)
            asked.answer(ProcessGone("exited"))
    assert [each for each in asked_in if isinstance(each, LookInto)] == [
        LookInto(told_file(5), "/bin/python3", pid, 3) for pid in range(20, 28)
    ]


def test_a_file_with_nothing_in_it_is_asked_about_once() -> None:
    table = Table()
    for pid in range(20, 40):
        told(table, *MAPPINGS, pid=pid)
        table.event(exited=False, pid=pid)
        table.now_ns += SECOND
    asked = table.questions.take_all()
    assert [isinstance(each.question, LookInto) for each in asked].count(True) == 1
    for each in asked:
        each.answer(Malformed("no ELF file"))
    told(table, *MAPPINGS, pid=50)
    table.event(exited=False, pid=50)
    assert not any(isinstance(each, LookInto) for each in table.open)


def test_files_of_programs_that_are_not_recorded_are_not_looked_into() -> None:
    """The kernel tells of what all programs map, and of an exec only where samples are taken."""
    table = Table()
    told(table, *MAPPINGS)
    assert table.open == []


def test_a_fork_of_forks_that_were_never_sampled_is_what_their_ancestor_is() -> None:
    table = known()
    table.table.listen(0, 0)
    for child, parent in ((20, PID), (21, 20), (22, 21)):
        table.table.mapped(Forked(child, table.now_ns, parent))
    time = table.sample(pid=22, start_ns=2 * START_NS, user=(NATIVE,), parent=21)
    assert time in table.emitted
    assert table.open == []
    assert table.configured[-1] == (22, 2 * START_NS, (INTERPRETER,))
    # A pid that was used again is no ancestor's.
    table.table.mapped(Forked(31, START_NS // 2, 30))
    table.table.mapped(Forked(32, 2 * START_NS, 31))
    table.sample(pid=30, start_ns=START_NS, user=(NATIVE,))
    table.inspected()
    table.sample(pid=32, start_ns=2 * START_NS, user=(NATIVE,), parent=31)
    assert [each for each in table.open if isinstance(each, Inspect)] == [
        Inspect(32, ProcessId.from_start_ns(32, 2 * START_NS).start_ticks)
    ]


def test_after_a_loss_of_mappings_the_worker_is_asked() -> None:
    table = Table()
    told(table, *MAPPINGS)
    table.event(exited=False)
    table.questions.take_all()
    table.table.mapped(MappingsLost(table.now_ns))
    table.table.mapped(
        CodeMapped(PID, table.now_ns, MAPPINGS[0]._replace(start=OUTSIDE, end=OUTSIDE + 0x1000))
    )
    time = table.sample(user=(OUTSIDE,), after_ns=SECOND)
    table.table.finish()
    assert table.partial == {time: Partial(Reason.NOT_INSPECTED, leaf=True)}


def test_a_program_that_maps_its_interpreter_later_makes_haste() -> None:
    table = Table()
    library = CodeMapping(0x5000, 0x6000, 0, told_file(6), "/lib/libpython3.so")
    for pid in (PID, 8):
        assert not table.table.is_in_hurry(table.now_ns)
        told(table, *MAPPINGS, pid=pid)
        table.event(exited=False, pid=pid)
        assert table.table.is_in_hurry(table.now_ns) is (pid == 8)
        table.table.mapped(CodeMapped(pid, table.now_ns, library))
        for asked in table.questions.take_all():
            if asked.question == LookInto(told_file(6), "/lib/libpython3.so", PID):
                asked.answer(LookedInto(FileContents(told_file(6), 0, 0, (INTERPRETER,), ()), KEY))
    assert [pid for pid, _, _ in table.configured] == [PID, 8]
    assert not table.table.is_in_hurry(table.now_ns + SECOND)
