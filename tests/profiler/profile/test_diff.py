"""Two recordings compared: what is matched, how it is counted and judged, and what losses do to that."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.profile import diff as module
from profiler.profile.diff import (
    Basis,
    Change,
    Diff,
    Difference,
    Node,
    WithoutTime,
    compare,
    compare_runs,
    verdict_of,
)
from profiler.profile.matching import Program
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Sample, Thread
from symbolizers.errors import Reason
from symbolizers.frame import KERNEL, NATIVE, Frame
from tests.support.export_samples import SAMPLES, profile_of

ROOT = Root(b"server", 100)
MIRRORED = {
    Change.MORE: Change.LESS,
    Change.LESS: Change.MORE,
    Change.NEW: Change.GONE,
    Change.GONE: Change.NEW,
    Change.NOISE: Change.NOISE,
    Change.DOUBTFUL: Change.DOUBTFUL,
    Change.UNSTEADY: Change.UNSTEADY,
}


def stack(*names: str, count: int, root: Root = ROOT) -> Sample:
    return Sample(root, tuple(Frame(NATIVE, name, "lib.so") for name in names), count)


def losing(profile: Profile, *, dropped: int = 0, lost: int = 0, root: Root = ROOT) -> Profile:
    """The profile with so many more samples of the `root` that have no stack, or of nobody knows what."""
    losses, reasons = profile.losses, {Reason.EXITED: dropped}
    row = ProcessLosses(root, dropped, 0, reasons)
    return replace(profile, losses=Losses(losses.samples + dropped, losses.symbolized, reasons, lost, (row,)))


def function(diff: Diff, name: str) -> module.FunctionDifference:
    (found,) = [each for each in diff.functions if each.function.name == name]
    return found


def path(nodes: Sequence[Node], node: Node) -> tuple[object, ...]:
    return () if node.parent < 0 else (*path(nodes, nodes[node.parent]), node.level)


BEFORE = profile_of(
    stack("main", "work", count=3000),
    stack("main", "work", "old", count=500),
    stack("main", count=100),
    stack("main", "other", count=6400),
)
AFTER = profile_of(
    stack("main", "work", count=3800, root=Root(b"server", 7)),
    stack("main", "work", "new", "below", count=500, root=Root(b"server", 8)),
    stack("main", "new", count=3, root=Root(b"server", 8)),
    stack("main", count=97),
    stack("main", "other", count=5600),
)


def test_what_changed_is_found_and_named() -> None:
    diff = compare(BEFORE, AFTER)
    assert diff.of == (10_000, 10_000)
    verdicts = {each.function.name: (each.own.verdict, each.total.verdict) for each in diff.functions}
    assert verdicts == {
        "main": (Change.NOISE, Change.NOISE),
        "work": (Change.MORE, Change.MORE),
        "old": (Change.GONE, Change.GONE),
        "new": (Change.NOISE, Change.NEW),
        "below": (Change.NEW, Change.NEW),
        "other": (Change.LESS, Change.LESS),
    }
    work = function(diff, "work")
    assert (work.own.before, work.own.after) == (3000, 3800)
    assert (work.total.before, work.total.after) == (3500, 4300)
    assert (work.total.share_before, work.total.share_after) == (0.35, 0.43)
    assert work.total.change == pytest.approx(0.08)
    assert 0.06 < work.total.low < 0.08 < work.total.high < 0.10
    assert work.total.p < 1e-9
    assert verdict_of(work) == Change.MORE
    assert diff.verdicts == {Change.NOISE: 1, Change.MORE: 1, Change.GONE: 1, Change.NEW: 2, Change.LESS: 1}


def test_the_call_tree_has_both_recordings() -> None:
    nodes = compare(BEFORE, AFTER).nodes
    shown = [
        (node.depth, getattr(node.level, "name", node.level), node.total.before, node.total.after, node.own)
        for node in nodes
    ]
    assert shown == [
        (0, None, 10_000, 10_000, (0, 0)),
        (1, Program(b"server", b"server"), 10_000, 10_000, (0, 0)),
        (2, "main", 10_000, 10_000, (100, 97)),
        (3, "new", 0, 3, (0, 3)),
        (3, "other", 6400, 5600, (6400, 5600)),
        (3, "work", 3500, 4300, (3000, 3800)),
        (4, "new", 0, 500, (0, 0)),
        (5, "below", 0, 500, (0, 500)),
        (4, "old", 500, 0, (500, 0)),
    ]
    assert [node.parent for node in nodes] == [-1, 0, 1, 2, 2, 2, 5, 6, 5]
    verdicts = [node.total.verdict.value for node in nodes]
    assert verdicts == ["noise", "noise", "noise", "noise", "less", "more", "new", "new", "gone"]


def test_what_something_new_calls_is_new_however_rare() -> None:
    before = profile_of(stack("main", count=10_000))
    after = profile_of(stack("main", count=9_000), stack("new", count=999), stack("new", "rare", count=1))
    diff = compare(before, after)
    assert [node.total.verdict.value for node in diff.nodes] == ["noise", "noise", "less", "new", "new"]
    assert function(diff, "rare").total.verdict == Change.NOISE


def test_functions_are_matched_by_name_and_file_and_not_by_line_thread_or_pid() -> None:
    def one(line: int, file: str, tid: int, pid: int) -> Profile:
        frame = Frame("x", "f", file, line)
        return profile_of(Sample(Root(b"p", pid), (frame,), 1000, Thread(b"t", tid)))

    same = compare(one(3, "a", 1, 2), one(9, "a", 3, 4))
    assert [each.function for each in same.functions] == [Frame("x", "f", "a")]
    assert not any(each.total.verdict.significant for each in same.functions)
    other = compare(one(3, "a", 1, 2), one(3, "b", 1, 2))
    assert {each.function.file: each.total.verdict for each in other.functions} == {
        "a": Change.GONE,
        "b": Change.NEW,
    }


def test_recursion_counts_once() -> None:
    diff = compare(profile_of(stack("f", "g", "f", "f", count=7)), profile_of(stack("f", count=5)))
    found = function(diff, "f")
    assert (found.total.before, found.own.before, found.total.after, found.own.after) == (7, 7, 5, 5)


def test_small_counts_prove_nothing() -> None:
    before = profile_of(stack("main", count=10_000))
    after = profile_of(stack("main", count=9_997), stack("f", count=3))
    found = function(compare(before, after), "f").total
    assert (found.verdict, found.p) == (Change.NOISE, 1.0)
    assert found.low < 0 < found.high


def test_lost_samples_may_all_have_been_in_one_function() -> None:
    before = profile_of(stack("main", count=9_000), stack("f", count=1_000))
    after = profile_of(stack("main", count=8_400), stack("f", count=1_600))
    assert function(compare(before, after), "f").total.verdict == Change.MORE
    for lossy in (losing(before, lost=700), losing(before, dropped=700)):
        found = function(compare(lossy, after), "f").total
        assert found.verdict == Change.DOUBTFUL
        # By the worst, 1,700 of 10,700; by the other, 1,000.
        assert found.low < 0.16 - 1700 / 10_700 < 0.16 - 1000 / 10_700 < found.high
    few = function(compare(losing(before, lost=50), losing(after, dropped=50)), "f").total
    assert few.verdict == Change.MORE


def test_samples_that_one_program_lost_were_not_in_another() -> None:
    other = Root(b"other", 5)
    before = profile_of(stack("main", count=9_000), stack("f", count=1_000))
    after = profile_of(stack("main", count=8_400), stack("f", count=1_600))
    before = losing(before, dropped=2_000, root=other)
    after = losing(after, dropped=2_000, root=other)
    assert function(compare(before, after), "f").total.verdict == Change.MORE
    both = replace(before, samples=(*before.samples, stack("f", count=1, root=other)))
    assert function(compare(both, after), "f").total.verdict == Change.DOUBTFUL


def test_partial_stacks_may_hide_the_function() -> None:
    before = profile_of(stack("main", count=9_000), stack("f", count=1_000))
    after = profile_of(stack("main", count=8_400), stack("f", count=1_600))
    partial = {Reason.WOULD_FAULT: 900}
    row = ProcessLosses(ROOT, 10_000, 9_100, {}, partial=partial)
    before = replace(before, losses=Losses(10_000, 9_100, {}, 0, (row,), partial=partial))
    assert function(compare(before, after), "f").total.verdict == Change.DOUBTFUL


def test_a_function_in_nearly_all_samples_is_tested_whatever_was_lost() -> None:
    row = ProcessLosses(ROOT, 10_000, 8_500, {}, partial={Reason.WOULD_FAULT: 1_500})
    before = profile_of(stack("f", count=9_900), stack("g", count=100))
    before = replace(before, losses=Losses(10_000, 8_500, {}, 0, (row,), partial=row.partial))
    after = profile_of(stack("f", count=9_000), stack("g", count=1_000))
    assert function(compare(before, after), "f").total.verdict == Change.LESS


def test_by_time_a_longer_recording_is_no_difference_and_more_work_is_one() -> None:
    base = profile_of(stack("f", count=400), stack("g", count=400))
    base = replace(base, duration_s=100.0, frequency_hz=20)
    longer = profile_of(stack("f", count=1200), stack("g", count=1200))
    longer = replace(longer, duration_s=300.0, frequency_hz=20)
    same = compare(base, longer, Basis.TIME)
    assert not any(node.total.verdict.significant for node in same.nodes)
    found = function(same, "f").total
    assert (found.share_before, found.share_after) == (0.2, 0.2)  # of one CPU
    assert (same.of, same.unit) == ((4_000, 12_000), 2.0)
    faster = replace(longer, frequency_hz=60, duration_s=100.0)
    assert function(compare(base, faster, Basis.TIME), "f").total.verdict == Change.NOISE
    busier = replace(longer, duration_s=200.0)
    assert {node.total.verdict for node in compare(base, busier, Basis.TIME).nodes} == {Change.MORE}
    assert not any(node.total.verdict.significant for node in compare(base, busier).nodes)


def test_by_time_needs_times() -> None:
    with pytest.raises(WithoutTime, match="without a duration"):
        compare(replace(BEFORE, duration_s=0.0), AFTER, Basis.TIME)


def test_recordings_that_vary_as_a_whole_are_judged_by_that() -> None:
    random = Random(5)

    def varied(hot: int) -> Profile:
        counts = [round(random.gauss(1000, 100)) for _ in range(300)]
        return profile_of(
            *(stack(f"f{at}", count=count) for at, count in enumerate(counts)), stack("hot", count=hot)
        )

    diff = compare(varied(3000), varied(1500))
    # Twice the variance of 100 ** 2, where counts of 1,000 would have 1,000.
    assert diff.spread == pytest.approx(10, rel=0.3)
    assert {each.function.name for each in diff.functions if verdict_of(each).significant} == {"hot"}


def test_the_same_samples_are_one_question() -> None:
    """Eleven frames that always come together are one thing to be wrong about."""
    chain = [f"f{index}" for index in range(10)]
    diff = compare(
        profile_of(stack(*chain, count=900), stack("g", count=100)),
        profile_of(stack(*chain, count=800), stack("g", count=200)),
    )
    assert diff.tests == 2


def test_what_the_detectable_change_promises() -> None:
    def found(change: int) -> bool:
        before = profile_of(stack("f", count=2_000), stack("g", count=8_000))
        after = profile_of(stack("f", count=2_000 + change), stack("g", count=8_000 - change))
        return function(compare(before, after), "f").total.verdict == Change.MORE

    least = compare(BEFORE, BEFORE).detectable(0.2)
    assert least == pytest.approx(0.014, abs=0.002)
    assert not found(int(0.8 * 10_000 * least))
    assert found(int(1.2 * 10_000 * least))


def test_an_empty_recording_compares_with_anything() -> None:
    empty = profile_of()
    for pair in ((empty, BEFORE), (BEFORE, empty), (empty, empty)):
        diff = compare(*pair)
        assert not any(node.total.verdict.significant for node in diff.nodes)
        assert diff.nodes[0].depth == 0


def test_most_nodes_are_kept_where_most_samples_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 6)
    diff = compare(BEFORE, AFTER)
    assert [getattr(node.level, "name", None) for node in diff.nodes] == [None, None, "main", "other", "work"]
    assert diff.left_out == 4
    assert len(diff.functions) == 6


def mirrored(one: Difference, other: Difference) -> bool:
    return (
        (one.before, one.after) == (other.after, other.before)
        and (one.share_before, one.share_after) == (other.share_after, other.share_before)
        and (one.low, one.high) == pytest.approx((-other.high, -other.low))
        and one.p == pytest.approx(other.p)
        and one.verdict == MIRRORED[other.verdict]
    )


PROFILES = st.builds(
    lambda samples, dropped, lost: losing(
        profile_of(*samples), dropped=dropped, lost=lost, root=samples[0].root if samples else ROOT
    ),
    st.lists(SAMPLES, max_size=6),
    st.integers(0, 50),
    st.integers(0, 50),
)
FEW = st.lists(
    st.builds(
        lambda names, count: stack(*names, count=count),
        st.lists(st.sampled_from("abc"), max_size=3),
        st.integers(0, 400),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(PROFILES)
def test_a_recording_does_not_differ_from_itself(profile: Profile) -> None:
    for by in Basis:
        diff = compare(profile, profile, by)
        for node in diff.nodes:
            assert (node.total.verdict, node.total.change) == (Change.NOISE, 0)
        for each in diff.functions:
            assert (each.own.verdict, each.total.verdict) == (Change.NOISE, Change.NOISE)


@settings(deadline=None)
@given(FEW, FEW, st.integers(0, 30), st.integers(0, 30), st.sampled_from(Basis))
def test_swapped_recordings_have_swapped_differences(
    one: list[Sample], other: list[Sample], dropped: int, lost: int, by: Basis
) -> None:
    before, after = losing(profile_of(*one), dropped=dropped), losing(profile_of(*other), lost=lost)
    forth, back = compare(before, after, by), compare(after, before, by)
    assert forth.tests == back.tests
    assert [node.level for node in forth.nodes] == [node.level for node in back.nodes]
    for node, turned in zip(forth.nodes, back.nodes, strict=True):
        assert mirrored(node.total, turned.total)
    for each, turned_each in zip(forth.functions, back.functions, strict=True):
        assert mirrored(each.own, turned_each.own)
        assert mirrored(each.total, turned_each.total)


@settings(deadline=None)
@given(PROFILES, PROFILES)
def test_counts_add_up_whatever_the_names(before: Profile, after: Profile) -> None:
    diff = compare(before, after)
    totals = [sum(sample.count for sample in profile.samples) for profile in (before, after)]
    assert [diff.nodes[0].total.before, diff.nodes[0].total.after] == totals
    assert [sum(side) for side in zip(*(node.own for node in diff.nodes), strict=True)] == totals
    for index, node in enumerate(diff.nodes):
        callees = [each for each in diff.nodes if each.parent == index]
        assert node.total.before == node.own.before + sum(each.total.before for each in callees)
        assert node.total.after == node.own.after + sum(each.total.after for each in callees)
        assert node.total.low - 1e-12 <= node.total.change <= node.total.high + 1e-12
    assert len({path(diff.nodes, node) for node in diff.nodes}) == len(diff.nodes)


def test_the_kind_of_a_frame_tells_functions_apart() -> None:
    native, kernel = Frame(NATIVE, "read"), Frame(KERNEL, "read")
    diff = compare(profile_of(Sample(ROOT, (native,), 1)), profile_of(Sample(ROOT, (kernel,), 1)))
    assert {each.function for each in diff.functions} == {native, kernel}


def run(hot: int, of: int = 5_000) -> Profile:
    """A recording of a function, and of one that took what was left."""
    return profile_of(stack("main", "hot", count=hot), stack("main", "rest", count=of - hot))


def test_several_recordings_count_together() -> None:
    one, several = (
        compare(run(1_500, 10_000), run(2_500, 10_000)),
        compare_runs([run(500), run(1_000)], [run(2_000), run(500)]),
    )
    assert several.recordings == (2, 2)
    assert several.of == one.of
    assert [(node.total.before, node.total.after, node.own) for node in several.nodes] == [
        (node.total.before, node.total.after, node.own) for node in one.nodes
    ]


def test_what_varies_as_much_between_recordings_of_one_side_is_unsteady() -> None:
    unchanged = compare_runs([run(500), run(2_000), run(900)], [run(2_200), run(900), run(1_500)])
    hot = function(unchanged, "hot").total
    assert (hot.verdict, hot.verdict.significant) == (Change.UNSTEADY, False)
    assert hot.low < 0 < hot.high
    merged = compare(run(3_400, 15_000), run(4_600, 15_000))
    assert function(merged, "hot").total.verdict == Change.MORE


def test_what_every_recording_shows_is_a_change() -> None:
    diff = compare_runs([run(980), run(1_030), run(1_000)], [run(1_290), run(1_310), run(1_350)])
    assert function(diff, "hot").total.verdict == Change.MORE
    assert function(diff, "rest").total.verdict == Change.LESS


def test_several_recordings_by_time_and_of_different_lengths() -> None:
    def timed(hot: int, of: int, duration_s: float) -> Profile:
        return replace(run(hot, of), duration_s=duration_s, frequency_hz=100)

    diff = compare_runs(
        [timed(500, 4_000, 50.0), timed(1_000, 8_000, 100.0)], [timed(500, 4_000, 50.0)], Basis.TIME
    )
    assert diff.of == (30_000, 10_000)
    assert function(diff, "hot").total.verdict == Change.NOISE
    assert function(diff, "hot").total.share_before == pytest.approx(0.1)
    with pytest.raises(WithoutTime):
        compare_runs([timed(1, 2, 1.0), run(1)], [timed(1, 2, 0.0)], Basis.TIME)
