"""The ledger: every sample is in it once, and equal stacks are one."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.capture.records import RawSample
from profiler.profile.model import Process, ProcessLosses, Root, Sample, Thread
from profiler.profile.view import View
from profiler.run import accounts, aggregate, allowance
from profiler.run.accounts import Tally
from profiler.run.aggregate import Aggregator
from profiler.run.allowance import Allowances
from profiler.run.stacks import Element, Inner, KernelAddress, NativeAddress, Partial, RunningLine
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import MARKER, NATIVE, Frame
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from tests.support.samples import raw_sample, repeated, told_file

TICK_NS = 10_000_000
MAIN = Frame("python", "main", "app.py", 1)
PYTHON = Interpreter("python", "3.11.2", "3.11", 0x4000)
OPEN = Frame(NATIVE, "open", "libc.so.6")
ONE, OTHER = (
    NativeAddress(told_file(5), 16, "/lib/libc.so.6"),
    NativeAddress(told_file(5), 20, "/lib/libc.so.6"),
)

NAMES: dict[Element, Frame] = {ONE: OPEN, OTHER: OPEN}


def raw(
    pid: int = 7, *, comm: bytes = b"app", start_ticks: int = 100, thread: Thread | None = None
) -> RawSample:
    name, tid, _ = thread or Thread(comm, pid)
    start_ns = start_ticks * TICK_NS + 5
    return raw_sample(pid=pid, tid=tid, start_ns=start_ns, comm=comm, thread_comm=name)


def test_equal_stacks_of_one_process_are_counted_together() -> None:
    aggregator = Aggregator()
    for _ in range(3):
        aggregator.add(raw(), (MAIN,))
    aggregator.add(raw(8), (MAIN,))
    assert aggregator.samples({}) == (
        Sample(Root(b"app", 7), (MAIN,), 3, process=Process(7, b"app")),
        Sample(Root(b"app", 8), (MAIN,), 1, process=Process(8, b"app")),
    )


def test_addresses_of_one_function_are_one_frame_once_they_have_names() -> None:
    aggregator = Aggregator()
    aggregator.add(raw(), (MAIN, ONE))
    aggregator.add(raw(), (MAIN, OTHER))
    aggregator.add(raw(), (MAIN, OPEN))
    assert {each for stack in aggregator.stacks() for each in stack.elements} == {MAIN, ONE, OTHER, OPEN}
    (sample,) = aggregator.samples({ONE: OPEN, OTHER: OPEN})
    assert (sample.frames, sample.count) == ((MAIN, OPEN), 3)


def test_one_address_stands_for_a_function_that_is_known() -> None:
    aggregator = Aggregator(known=lambda address: (ONE, OPEN))
    aggregator.add(raw(), (MAIN, Inner(OTHER), OTHER))
    aggregator.add(raw(), (MAIN, Inner(ONE), ONE))
    assert [each.elements for each in aggregator.stacks()] == [(MAIN, Inner(ONE), ONE)]


def test_a_long_name_that_is_known_late_takes_as_much_room_as_any() -> None:
    """A file repeats it for each stack."""
    allowances = Allowances()
    known: dict[NativeAddress, tuple[NativeAddress, Frame]] = {}
    aggregator = Aggregator(allowances=allowances, known=known.get)
    sample = replace(raw(), uid=1000)
    aggregator.add(sample, (MAIN, ONE))
    known[ONE] = ONE, Frame("native", "n" * 4000)
    before = allowances._users[1000].used
    aggregator.add(sample, (MAIN, ONE, Inner(ONE)))
    assert allowances._users[1000].used - before > 2 * 4000 / 4


def test_lines_and_hidden_frames_are_kept_while_there_is_ample_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "USER_BYTES", 4 * 40_000)
    aggregator = Aggregator(allowances=Allowances())
    for line in range(1, 200):
        elements = (RunningLine(MAIN, line), Inner(ONE), RunningLine(MAIN, line + 1))
        aggregator.add(replace(raw(), uid=1000), elements)
    (plain,) = aggregator.samples(NAMES)
    assert (plain.frames, plain.count) == ((MAIN, MAIN), 199)
    by_line = aggregator.samples(NAMES, view=View(lines=True, native=True))
    kept = [each for each in by_line if len(each.frames) == 3]
    assert len(kept) > 20
    (rest,) = (each for each in by_line if len(each.frames) == 2)
    assert rest.count == 199 - len(kept)
    assert {frame.line for frame in rest.frames} == {0}, "nobody knows which line ran"
    assert not aggregator.losses(lost=0).partial


def test_threads_are_told_apart_only_where_asked() -> None:
    one, other = Thread(b"app", 7), Thread(b"pool-1", 9)
    for threads in (False, True):
        aggregator = Aggregator(keep_dropped=True, threads=threads)
        aggregator.add(raw(thread=one), (MAIN, ONE))
        aggregator.add(raw(thread=one), (MAIN, OTHER))
        aggregator.add(raw(thread=other), (MAIN, OPEN))
        aggregator.drop(raw(thread=other), Reason.CHANGED)
        samples = aggregator.samples(NAMES, {(7, 9): "pool"})
        counts = {(sample.thread, len(sample.frames)): sample.count for sample in samples}
        named = other._replace(name="pool")
        expected = {(one, 2): 2, (named, 2): 1, (named, 1): 1} if threads else {(None, 2): 3, (None, 1): 1}
        assert counts == expected
        assert aggregator.losses(lost=0).samples == 4


def test_a_thread_whose_samples_have_waited_is_told_apart_too() -> None:
    aggregator = Aggregator(threads=True)
    late, early = Thread(b"late", 8), Thread(b"early", 9)
    aggregator.add(replace(raw(thread=late), time_ns=2), (MAIN,))
    aggregator.add(replace(raw(thread=early), time_ns=1), (MAIN,))
    assert {sample.thread for sample in aggregator.samples({})} == {late, early}


def test_a_process_that_renames_itself_keeps_one_account_under_its_last_name() -> None:
    aggregator = Aggregator()
    aggregator.add(raw(comm=b"sh"), (MAIN,))
    aggregator.drop(raw(comm=b"app"), Reason.CHANGED)
    losses = aggregator.losses(lost=0)
    (row,) = losses.per_process
    assert row == ProcessLosses(Root(b"app", 7), 2, 1, {Reason.CHANGED: 1}, verdict=row.verdict)
    assert {sample.root.comm for sample in aggregator.samples({})} == {b"app"}


def test_a_pid_used_again_has_an_account_of_its_own() -> None:
    aggregator = Aggregator()
    aggregator.add(raw(start_ticks=100), (MAIN,))
    aggregator.add(raw(start_ticks=101), (MAIN,))
    assert [row.samples for row in aggregator.losses(lost=0).per_process] == [1, 1]


def test_dropped_samples_are_stacks_where_that_is_asked_for() -> None:
    aggregator = Aggregator(keep_dropped=True)
    aggregator.add(raw(), (MAIN,))
    for reason in (*Reason, Reason.WOULD_FAULT):
        aggregator.drop(raw(), reason)
    found = {frame: sample.count for sample in aggregator.samples({}) for frame in sample.frames}
    names = (
        "would fault",
        "stalled",
        "exited",
        "changed",
        "unsupported",
        "permission",
        "not inspected",
        "over budget",
    )
    dropped = {Frame(MARKER, f"[dropped: {name}]"): 1 for name in names}
    assert found == {MAIN: 1, **dropped, Frame(MARKER, "[dropped: would fault]"): 2}
    losses = aggregator.losses(lost=0)
    assert (losses.samples, losses.symbolized) == (10, 1)
    assert sum(sample.count for sample in aggregator.samples({})) == losses.samples


def test_a_stack_that_lacks_a_name_is_partial_and_a_loss_if_it_is_the_leafs() -> None:
    aggregator = Aggregator()
    for _ in range(40):
        aggregator.add(raw(), (MAIN,))
        aggregator.add(raw(), (MAIN, OTHER), Partial(Reason.CHANGED, leaf=False))
    losses = aggregator.losses(lost=0)
    assert (losses.samples, losses.symbolized, losses.partial) == (80, 40, {Reason.CHANGED: 40})
    assert not losses.per_process[0].verdict.significant
    for _ in range(20):
        aggregator.add(raw(), (MAIN,), Partial(Reason.EXITED, leaf=True))
    losses = aggregator.losses(lost=0)
    (row,) = losses.per_process
    assert losses.partial == row.partial == {Reason.CHANGED: 40, Reason.EXITED: 20}
    assert (row.symbolized, row.dropped, row.verdict.share) == (40, {}, 0.2)
    assert row.verdict.significant


def test_every_process_has_its_verdict_and_the_run_one_on_the_rest() -> None:
    aggregator = Aggregator()
    for pid, dropped in ((1, 50), (2, 0), (3, 4)):
        for _ in range(dropped):
            aggregator.drop(raw(pid), Reason.CHANGED)
        for _ in range(100 - dropped):
            aggregator.add(raw(pid), (MAIN,))
    losses = aggregator.losses(lost=2)
    verdicts = {row.root.pid: row.verdict for row in losses.per_process}
    assert {pid: verdict.significant for pid, verdict in verdicts.items()} == {1: True, 2: False, 3: False}
    assert {pid: verdict.share for pid, verdict in verdicts.items()} == {1: 0.5, 2: 0.0, 3: 0.04}
    assert losses.rest.share == 6 / 302
    assert not losses.rest.significant


def test_notes_are_kept_once_and_only_shown_for_what_was_sampled() -> None:
    aggregator = Aggregator()
    for text in ("old Python", "old Ruby", "old Python"):
        aggregator.note(ProcessId(7, 100), text)
    aggregator.note(ProcessId(9, 100), "never sampled")
    aggregator.add(raw(), (MAIN,))
    (row,) = aggregator.losses(lost=0).per_process
    assert row.note == "old Python; old Ruby"


def test_processes_with_most_samples_come_first() -> None:
    aggregator = Aggregator()
    for pid, times in ((3, 1), (2, 5), (1, 1)):
        for _ in range(times):
            aggregator.add(raw(pid), (MAIN,))
    assert [row.root.pid for row in aggregator.losses(lost=0).per_process] == [2, 1, 3]


def test_nothing_sampled_is_a_ledger_too() -> None:
    losses = Aggregator().losses(lost=4)
    assert (losses.samples, losses.symbolized, losses.lost) == (0, 0, 4)
    assert not losses.dropped
    assert not losses.per_process


ELEMENTS: tuple[Element, ...] = (MAIN, OPEN, ONE, OTHER, KernelAddress(3))
elements = st.lists(st.sampled_from(ELEMENTS), max_size=3).map(tuple)
fates: st.SearchStrategy[tuple[Element, ...] | Reason] = elements | st.sampled_from(Reason)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), fates)))
def test_the_ledger_adds_up(taken: list[tuple[int, int, tuple[Element, ...] | Reason]]) -> None:
    aggregator = Aggregator()
    for pid, ticks, fate in taken:
        sample = raw(pid, start_ticks=ticks)
        if isinstance(fate, Reason):
            aggregator.drop(sample, fate)
        else:
            aggregator.add(sample, fate)
    losses = aggregator.losses(lost=0)
    dropped = Counter(fate for _, _, fate in taken if isinstance(fate, Reason))
    assert losses.samples == len(taken)
    assert losses.dropped == dropped
    assert losses.samples == losses.symbolized + sum(losses.dropped.values())
    for row in losses.per_process:
        assert row.samples == row.symbolized + sum(row.dropped.values())
    assert sum(row.samples for row in losses.per_process) == losses.samples
    elements = {each for stack in aggregator.stacks() for each in stack.elements}
    named = aggregator.samples({each: OPEN for each in elements if not isinstance(each, Frame)})
    assert sum(sample.count for sample in named) == losses.symbolized
    assert len({(sample.root, sample.frames) for sample in named}) == len(named)


@given(
    st.lists(
        st.tuples(st.sampled_from((7, 8)), st.integers(0, 40), st.booleans(), st.booleans()), max_size=400
    ),
    st.booleans(),
)
def test_stacks_that_were_not_shown_for_long_still_count(
    taken: list[tuple[int, int, bool, bool]], ends: bool
) -> None:
    """As they do where nothing is packed: pid, function, whether it is partial, whether it repeats."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "_MOST_NEW", 3)
        patch.setattr(accounts, "_LEAST_PACKED", 1)
        patch.setattr(aggregate, "_MOST_ENDED", 0)
        expected = Counter[tuple[int, str]]()
        tallies: dict[tuple[int, int], Tally] = {}
        aggregator = Aggregator()
        for pid, function, is_partial, is_repeated in taken:
            partial = Partial(Reason.CHANGED, leaf=False) if is_partial else None
            tally = aggregator.add(raw(pid), (MAIN, Frame("python", f"f{function}")), partial)
            expected[pid, f"f{function}"] += 1
            if not is_partial:
                tallies.setdefault((pid, function), tally)
            if is_repeated and (pid, function) in tallies:
                tallies[pid, function].again(repeated(raw(pid), 3))
                expected[pid, f"f{function}"] += 3
        if ends:
            for (pid, _), tally in tallies.items():
                if pid == 7:
                    tally.close()
            aggregator.ended(raw(7).process)
            expected = Counter(
                {(0 if pid == 7 else pid, function): count for (pid, function), count in expected.items()}
            )
        counted = Counter[tuple[int, str]]()
        for sample in aggregator.samples({}):
            counted[sample.root.pid, sample.frames[-1].name] += sample.count
        assert counted == expected
        losses = aggregator.losses(lost=0)
        assert losses.samples == expected.total()
        assert losses.partial.get(Reason.CHANGED, 0) == sum(partial for _, _, partial, _ in taken)


def test_what_stacks_take_hardly_grows_once_they_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "_MOST_NEW", 500)
    aggregator = Aggregator(allowances=(allowances := Allowances()))
    used = []
    for number in range(8000):
        stack = [*range(40), 40 + number % 90, 40 + number // 90]
        aggregator.add(raw(), tuple(Frame("python", f"f{each}") for each in stack))
        if number in (2000, 7999):
            used.append(allowances.of_process(0).above.used)
    assert sum(sample.count for sample in aggregator.samples({})) == 8000
    assert used[1] < 2 * used[0]
    assert used[1] < 8000 * 600 / 3


def test_a_stack_with_an_address_that_was_not_named_in_time_is_partial() -> None:
    aggregator = Aggregator()
    for elements in ((MAIN, ONE), (MAIN, ONE, OPEN), (MAIN, OTHER), (MAIN,)):
        aggregator.add(raw(), elements)
    aggregator.add(raw(), (MAIN, ONE), Partial(Reason.CHANGED, leaf=False))
    aggregator.lack({ONE: Reason.OVER_BUDGET})
    losses = aggregator.losses(lost=0)
    assert (losses.samples, losses.symbolized) == (5, 2)
    assert losses.partial == {Reason.OVER_BUDGET: 2, Reason.CHANGED: 1}
    (row,) = losses.per_process
    assert row.verdict.share == 1 / 5, "of one sample, the name of the leaf is missing"


def test_stacks_without_an_end_shrink_to_their_leaves() -> None:
    allowances = Allowances()
    aggregator = Aggregator(allowances=allowances)
    frames = [Frame("python", f"function_{number}", "app.py", 1) for number in range(990)]
    chance = random.Random(1)
    for _ in range(3000):
        aggregator.add(raw_sample(pid=7, uid=1000), tuple(chance.sample(frames, 990)))
        aggregator.add(raw_sample(pid=8, uid=1001), (MAIN,))
    losses = aggregator.losses(lost=0)
    shown = aggregator.samples({})
    assert sum(sample.count for sample in shown) == losses.samples == 6000
    assert sum(len(sample.frames) for sample in shown) < 1_000_000
    hostile, healthy = sorted(losses.per_process, key=lambda row: row.root.pid)
    assert hostile.partial[Reason.OVER_BUDGET] > 1000
    assert hostile.symbolized + hostile.partial[Reason.OVER_BUDGET] == 3000
    assert healthy.symbolized == 3000


def ended_processes(aggregator: Aggregator, numbers: range, *, comm: bytes = b"sh") -> None:
    """Each has two samples of one stack, one that is partial, and a loss, and is over."""
    for pid in numbers:
        for _ in range(2):
            aggregator.add(raw(pid, comm=comm), (MAIN, ONE))
        aggregator.add(raw(pid, comm=comm), (MAIN,), Partial(Reason.CHANGED, leaf=True))
        aggregator.drop(raw(pid, comm=comm), Reason.EXITED)
        aggregator.blame(raw(pid).process, OPEN)
        aggregator.note(raw(pid).process, "a note")
        aggregator.ended(raw(pid).process)


def test_of_many_processes_that_have_ended_those_of_a_program_count_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregate, "_MOST_ENDED", 10)
    aggregator = Aggregator()
    aggregator.add(raw(1, comm=b"sh"), (MAIN, ONE))
    ended_processes(aggregator, range(100, 140))
    losses = aggregator.losses(lost=0)
    assert losses.samples == 161
    assert (losses.dropped, losses.partial) == ({Reason.EXITED: 40}, {Reason.CHANGED: 40})
    rows = {row.root: row for row in losses.per_process}
    together = rows[Root(b"sh", 0, 30)]
    assert (together.samples, together.symbolized) == (120, 60)
    assert (together.note, together.hit) == ("a note", (OPEN,))
    assert rows.keys() - {together.root} == {Root(b"sh", pid) for pid in (1, *range(130, 140))}
    assert {sample.root for sample in aggregator.samples(NAMES)} == rows.keys()
    stacks = [stack for stack in aggregator.stacks() if stack.samples == 60]
    assert [(stack.elements, stack.pid in range(100, 130)) for stack in stacks] == [((MAIN, ONE), True)]


def test_stacks_of_ended_processes_count_by_the_functions_that_are_known_by_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were sampled at other instructions, when nobody knew the function around these."""
    monkeypatch.setattr(aggregate, "_MOST_ENDED", 0)
    known: dict[NativeAddress, tuple[NativeAddress, Frame]] = {}
    aggregator = Aggregator(known=known.get)
    places = [NativeAddress(told_file(5), offset, "/bin/app") for offset in range(5)]
    for place in places:
        aggregator.add(raw(100), (MAIN, place))
    known.update(dict.fromkeys(places, (places[0], OPEN)))
    aggregator.ended(raw(100).process)
    assert [(each.elements, each.samples) for each in aggregator.stacks()] == [((MAIN, places[0]), 5)]


def test_programs_of_ended_processes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "_MOST_ENDED", 0)
    monkeypatch.setattr(aggregate, "_MOST_PROGRAMS", 2)
    aggregator = Aggregator()
    for pid in range(100, 106):
        ended_processes(aggregator, range(pid, pid + 1), comm=f"program {pid}".encode())
    roots = {row.root for row in aggregator.losses(lost=0).per_process}
    assert roots == {
        Root(b"program 100", 0, 1),
        Root(b"program 101", 0, 1),
        Root(b"other programs", 0, 4),
    }


def test_what_ended_processes_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their stacks count as one where there is no room for more; no sample is lost."""
    monkeypatch.setattr(aggregate, "_MOST_ENDED", 0)
    monkeypatch.setattr(allowance, "USER_BYTES", 40_000)
    allowances = Allowances()
    aggregator = Aggregator(allowances=allowances)
    for pid in range(100, 400):
        sample = replace(raw(pid), uid=1000)
        aggregator.add(sample, (MAIN, Frame("python", f"function_{pid}", "app.py", 1)))
        aggregator.ended(sample.process)
    samples = aggregator.samples(NAMES)
    assert sum(sample.count for sample in samples) == 300
    assert {sample.root for sample in samples} == {Root(b"app", 0, 300)}
    assert len(samples) < 100
    assert allowances._users[1000].used <= 40_000


def test_a_process_without_a_sample_leaves_nothing() -> None:
    aggregator = Aggregator()
    aggregator.note(raw().process, "a note")
    aggregator.runs(raw().process, (PYTHON,))
    aggregator.ended(raw().process)
    assert aggregator._notes == aggregator._interpreters == {}
    assert aggregator.losses(lost=0).per_process == ()


@pytest.mark.parametrize("is_early", [True, False], ids=["before its samples", "after one"])
def test_what_a_process_interprets_is_known(is_early: bool) -> None:
    aggregator = Aggregator()
    if not is_early:
        aggregator.add(raw(), (MAIN,))
    aggregator.runs(raw().process, (PYTHON, replace(PYTHON, language="ruby", version="3.1.2")))
    aggregator.add(raw(), (MAIN,))
    (counted,) = aggregator.samples({})
    assert counted.process is not None
    assert counted.process.interpreters == "python 3.11.2, ruby 3.1.2"


PODMAN = Description("/bin/app", ("app", "-x"), "3f2a91c0d5e1")


def test_a_process_is_as_it_was_described_last() -> None:
    aggregator = Aggregator(containers=True)
    sample = replace(raw(), parent=ProcessId(3, 1), uid=1000)
    aggregator.meet(sample, Description(executable="/bin/app"))
    aggregator.describe(sample.process, PODMAN)
    aggregator.add(sample, (MAIN,))
    (counted,) = aggregator.samples({})
    assert counted.root == Root(b"app", 7, container="3f2a91c0d5e1")
    assert counted.process == Process(7, b"app", 3, 1000, "/bin/app", ("app", "-x"), "3f2a91c0d5e1")
    aggregator.meet(replace(sample, comm=b"sh"), Description())
    aggregator.add(replace(sample, comm=b"sh"), (MAIN,))
    (counted,) = aggregator.samples({})
    assert (counted.root, counted.process) == (Root(b"sh", 7), Process(7, b"sh", 3, 1000))


def test_a_container_is_no_root_unless_that_is_asked_for() -> None:
    aggregator = Aggregator()
    aggregator.meet(raw(), PODMAN)
    aggregator.add(raw(), (MAIN,))
    (counted,) = aggregator.samples({})
    assert counted.root == Root(b"app", 7)
    assert counted.process is not None
    assert counted.process.container == "3f2a91c0d5e1"


def test_a_process_that_was_never_sampled_is_not_described() -> None:
    aggregator = Aggregator()
    aggregator.describe(ProcessId(7, 1), PODMAN)
    assert aggregator.samples({}) == ()
    assert aggregator.losses(lost=0).per_process == ()


def test_processes_that_have_ended_count_by_their_container_where_that_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aggregate, "_MOST_ENDED", 0)
    for containers, expected in (
        (True, {Root(b"app", 0, 2, container="a"): 2, Root(b"app", 0, 1, container="b"): 1}),
        (False, {Root(b"app", 0, 3): 3}),
    ):
        aggregator = Aggregator(containers=containers)
        for pid, container in ((1, "a"), (2, "b"), (3, "a")):
            aggregator.meet(raw(pid), Description(container=container))
            aggregator.add(raw(pid), (MAIN,))
            aggregator.ended(raw(pid).process)
            # An answer that comes late is about nobody.
            aggregator.describe(raw(pid).process, PODMAN)
        samples = aggregator.samples({})
        assert {sample.root: sample.count for sample in samples} == expected
        assert {sample.process for sample in samples} == {None}


def test_descriptions_are_charged_to_their_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "USER_BYTES", 40_000)
    aggregator = Aggregator(allowances=Allowances())
    long = Description(command=("x" * 4000,))
    for pid in range(100):
        sample = replace(raw(pid), uid=1000)
        aggregator.meet(sample, Description())
        for _ in range(3):
            aggregator.describe(sample.process, long)
        aggregator.add(sample, (MAIN,))
    commands = [sample.process.command for sample in aggregator.samples({}) if sample.process is not None]
    assert len(commands) == 100
    assert 5 < commands.count(long.command) < 10
