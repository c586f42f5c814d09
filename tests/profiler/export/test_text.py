"""How names become text, and that every folded line parses back whatever a target calls itself."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.export import folded
from profiler.export.text import (
    MAX_NAME_CHARACTERS,
    NO_SAMPLE,
    WARNED_PROGRAMS,
    container_text,
    counted_text,
    file_text,
    frame_text,
    function_name,
    line_number,
    losses_text,
    marked_name,
    printable,
    root_text,
    thread_text,
    warnings,
)
from profiler.profile.model import Feature, Losses, ProcessLosses, Profile, Root, Sample, Thread, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, INLINED, KERNEL, MARKER, NATIVE, Frame
from tests.support.export_samples import ANY_TEXT, FRAMES, SAMPLES, profile_of


def folded_lines(profile: Profile) -> list[str]:
    stream = BytesIO()
    folded.write(profile, stream)
    text = stream.getvalue().decode("utf-8")
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame("python", "C.f", "a/b.py", 12), "C.f (a/b.py:12)"),
        (Frame("python", "C.f", "a/b.py", 0), "C.f (a/b.py)"),
        (Frame("ruby", "Array#each", "", 7), "Array#each"),
        (Frame("ruby", "<main>", "run.rb", 1), "<main> (run.rb:1)"),
        (Frame(NATIVE, "malloc", "libc.so.6"), "malloc (libc.so.6)"),
        (Frame(NATIVE, "[libx.so+0x10]"), "[libx.so+0x10]"),
        (Frame(KERNEL, "do_futex", "vmlinux"), "do_futex_[k]"),
        (Frame(NATIVE, "f", "a.c", 12), "f (a.c:12)"),
        (Frame(INLINED, "f", "a.h", 12), "f (a.h:12)_[i]"),
        (Frame(INLINED, "f"), "f_[i]"),
        (Frame(MARKER, "[truncated]"), "[truncated]"),
        (Frame("python", "a;b\n", "x;y.py", 3), "a:b\\x0a (x:y.py:3)"),
        (Frame("python", "", "", 0), "[unnamed]"),
        (Frame(KERNEL, " \u3000"), "[unnamed]_[k]"),
        (Frame(NATIVE, "f 12"), "f 12"),
    ],
)
def test_a_frame_reads_as_the_contract_says(frame: Frame, text: str) -> None:
    assert frame_text(frame) == text


@pytest.mark.parametrize(
    ("frame", "name", "file"),
    [
        (Frame("python", "C.f", "a/b.py", 12), "C.f", "a/b.py"),
        (Frame("python", "[gc]", "a/b.py", 12), "[gc] ()", "a/b.py"),
        (Frame(NATIVE, "operator[]", "libx.so"), "operator[] ()", "libx.so"),
        (Frame(NATIVE, "f_[k]", "libx.so"), "f_[k] ()", "libx.so"),
        (Frame(NATIVE, "[libx.so+0x10]"), "[libx.so+0x10]", ""),
        (Frame(KERNEL, "do_futex", "vmlinux"), "do_futex_[k]", ""),
        (Frame(GENERATED, "render", "page.js", 7), "render_[j]", "page.js"),
        (Frame(MARKER, "[truncated]", "x"), "[truncated]", ""),
        (Frame("ruby", "", "x;y"), "[unnamed]", "x:y"),
    ],
)
def test_name_and_file_of_a_frame_apart(frame: Frame, name: str, file: str) -> None:
    assert (marked_name(frame), file_text(frame)) == (name, file)


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (Frame("python", "f", "a.py", 12), 12),
        (Frame("python", "f", "a.py", -1), 0),
        (Frame("python", "f", "", 12), 0),
        (Frame(NATIVE, "f", "libc.so.6"), 0),
        (Frame(NATIVE, "f", "a.c", 12), 12),
        (Frame(KERNEL, "f", "vmlinux", 12), 0),
        (Frame(GENERATED, "f", "a.js", 10**30), 2**31 - 1),
    ],
)
def test_a_line_belongs_to_a_file_and_has_31_bits(frame: Frame, line: int) -> None:
    assert line_number(frame) == line


@given(FRAMES)
def test_the_names_of_a_frame_differ_by_what_tells_its_kind(frame: Frame) -> None:
    marks = {"", "_[k]", "_[j]", "_[i]", " ()"}
    assert marked_name(frame).removeprefix(function_name(frame)) in marks
    assert not marked_name(frame).endswith("_[k]") or frame.kind in (KERNEL, MARKER, NATIVE)


@pytest.mark.parametrize(
    ("comm", "text"),
    [
        (b"python3", "python3 (9)"),
        (b"puma: cluster 0", "puma: cluster 0 (9)"),
        (b"a;b\nc", "a:b\\x0ac (9)"),
        (b"caf\xc3\xa9 \xff", "café \\xff (9)"),
        (b"", "[unnamed] (9)"),
    ],
)
def test_a_root_is_comm_and_pid(comm: bytes, text: str) -> None:
    assert root_text(Root(comm, 9)) == text


def test_a_group_says_how_many_processes_it_is() -> None:
    assert root_text(Root(b"app", 0, 40, is_group=True)) == "app × 40"
    assert root_text(Root(b"app", 0, 1, is_group=True)) == "app"


def test_a_thread_is_name_or_comm_and_tid_and_says_that_it_is_one() -> None:
    assert thread_text(Thread(b"python3", 12, "pool;1")) == "thread pool:1 (12)"
    assert thread_text(Thread(b"gc;1\xff", 12)) == "thread gc:1\\xff (12)"
    assert thread_text(Thread(b"", 12)) == "thread [unnamed] (12)"


def test_a_container_is_a_marker_whatever_its_name() -> None:
    assert container_text("3f2a91c0d5e1") == "[container 3f2a91c0d5e1]"
    assert container_text("web;\ud800\n") == "[container web:\\ud800\\x0a]"
    assert container_text("n" * 10_000).endswith("…]")


def test_containers_come_before_their_processes_where_they_are_shown() -> None:
    frames = (Frame("python", "f", "a.py", 1),)
    roots = (Root(b"sh", 2), Root(b"sh", 1, container="web"), Root(b"a", 0, 3, container="web"))
    lines = folded_lines(profile_of(*(Sample(root, frames, root.pid + 1) for root in roots)))
    assert lines == [
        "[container web];a (3 ended);f (a.py:1) 1",
        "[container web];sh (1);f (a.py:1) 2",
        "sh (2);f (a.py:1) 3",
    ]


def test_what_cannot_be_printed_is_escaped_by_its_number() -> None:
    hostile = "\0\t\x7f\x85\u200e\u2028\u202e\u2066\ufeff\ud800\uffff\U000e0041"
    escaped = r"\x00\x09\x7f\x85\u200e\u2028\u202e\u2066\ufeff\ud800\uffff\U000e0041"
    assert printable(hostile) == escaped
    assert printable(r"日本語 é \d <&>") == r"日本語 é \d <&>"


@pytest.mark.parametrize("name", ["n" * 100_000, "\n" * 100_000, "n" * (MAX_NAME_CHARACTERS + 1)])
def test_a_long_name_keeps_its_start(name: str) -> None:
    text = frame_text(Frame(NATIVE, name))
    assert len(text) == MAX_NAME_CHARACTERS
    assert text == printable(name)[: MAX_NAME_CHARACTERS - 1] + "…"


def test_a_name_as_long_as_allowed_is_whole() -> None:
    name = "n" * MAX_NAME_CHARACTERS
    assert frame_text(Frame(NATIVE, name)) == name


def test_a_long_file_keeps_its_end() -> None:
    text = frame_text(Frame("python", "f", "d/" * 5000 + "module.py", 4))
    assert text.startswith("f (…")
    assert text.endswith("d/d/module.py:4)")
    assert len(text) == len("f (:4)") + MAX_NAME_CHARACTERS


@given(ANY_TEXT, ANY_TEXT, st.sampled_from(["python", "ruby", NATIVE]))
def test_nothing_passes_for_the_kernel_or_for_a_marker(name: str, file: str, kind: str) -> None:
    for text in (name, f"{name}_[k]", f"[{name}]", "[gc]"):
        for path in (file, "") if kind != NATIVE else (file or "app",):
            shown = frame_text(Frame(kind, text, path, 3))
            assert not shown.endswith("_[k]")
            assert not re.fullmatch(r"\[.*\]", shown) or shown == "[unnamed]"


def test_losses_are_told_by_reason_most_first() -> None:
    dropped = {Reason.EXITED: 2, Reason.WOULD_FAULT: 20, Reason.STALLED: 0}
    assert counted_text(dropped, "dropped") == "22 dropped (would_fault 20, exited 2)"
    assert losses_text(Losses(4012, 3990, dropped, 1)) == (
        "4,012 samples · 3,990 symbolized · 22 dropped (would_fault 20, exited 2) · 1 lost"
    )
    assert counted_text({}, "dropped") == "0 dropped"


NONE = Verdict()
TOO_MANY = Verdict(0.1231, 0.1013, 0.1484, True)
DROPPED = {Reason.EXITED: 3, Reason.WOULD_FAULT: 120, Reason.CHANGED: 0}


def ledger(*rows: ProcessLosses, lost: int = 0, rest: Verdict = NONE) -> Losses:
    samples, symbolized = sum(row.samples for row in rows), sum(row.symbolized for row in rows)
    return Losses(samples, symbolized, {}, lost, rows, rest)


def test_a_warning_says_how_much_of_what_was_lost_and_why() -> None:
    root = Root(b"python3", 4711)
    partial = {Reason.CHANGED: 123}
    (warning,) = warnings(ledger(ProcessLosses(root, 999, 876, {}, verdict=TOO_MANY, partial=partial)))
    assert "'s samples lack the name of the function that ran (changed): its functions look" in warning
    assert warnings(Losses(0, 0, {}, 0)) == [NO_SAMPLE]
    assert warnings(ledger(ProcessLosses(root, 999, 876, DROPPED, verdict=TOO_MANY))) == [
        "12.3 % (10.1 to 14.8) of python3 (4711)'s samples were dropped (would_fault, exited):"
        " its functions look smaller than they are; --keep-partial keeps the rest of their stacks"
    ]
    hit = (Frame("python", "load", "app.py", 3), Frame("python", "a;b"))
    row = ProcessLosses(root, 999, 876, {}, verdict=TOO_MANY, partial=partial, hit=hit)
    assert warnings(ledger(row))[0].endswith("; most were in or near load (app.py:3), a:b")
    unlike = Verdict(0.0081, 0.0069, 0.0094, False, (Feature.THREAD, Feature.FUNCTION))
    assert warnings(ledger(ProcessLosses(root, 999, 876, DROPPED, verdict=unlike))) == [
        "0.8 % (0.7 to 0.9) of python3 (4711)'s samples were dropped (would_fault, exited):"
        " they are unlike the kept ones (by thread and function): some of its functions look much smaller"
        " than they are; --keep-partial keeps the rest of their stacks"
    ]


def test_there_is_no_warning_of_a_loss_that_does_not_matter() -> None:
    verdict = Verdict(0.0081, 0.0069, 0.0094)
    assert warnings(ledger(ProcessLosses(Root(b"a", 1), 999, 876, DROPPED, verdict=verdict), lost=3)) == []


def test_what_is_missing_besides_is_told_with_its_reasons() -> None:
    rows = [
        ProcessLosses(Root(b"a", 1), 20, 10, {Reason.STALLED: 10}, verdict=TOO_MANY),
        ProcessLosses(Root(b"b", 2), 10, 6, {Reason.CHANGED: 4}),
        ProcessLosses(Root(b"c", 3), 10, 6, {Reason.CHANGED: 3, Reason.EXITED: 1}),
    ]
    end = "of all samples don't show what ran (lost, changed, exited): it looks smaller than it was"
    assert warnings(ledger(*rows, lost=8, rest=TOO_MANY))[1:] == [f"another 12.3 % (10.1 to 14.8) {end}"]
    assert warnings(ledger(lost=8, rest=TOO_MANY)) == [
        "12.3 % (10.1 to 14.8) of all samples don't show what ran (lost): it looks smaller than it was"
    ]


@pytest.mark.parametrize("more", [0, 1, 300])
def test_warnings_are_few(more: int) -> None:
    rows = [
        ProcessLosses(Root(b"a%d" % pid, pid), 20, 10, {Reason.STALLED: 10}, verdict=TOO_MANY)
        for pid in range(WARNED_PROGRAMS + more)
    ]
    said = warnings(ledger(*rows))
    assert len(said) == WARNED_PROGRAMS + bool(more)
    assert said[-1].startswith(f"{more} more program") == bool(more)


def test_processes_of_one_program_have_one_warning() -> None:
    """It names the functions that most losses are near, and comes before those of smaller programs."""
    f, g, h, i = (Frame("python", name) for name in "fghi")
    rows = [
        ProcessLosses(Root(b"big", 1), 100, 60, {Reason.STALLED: 40}, verdict=Verdict(0.4, 0.3, 0.5, True)),
        ProcessLosses(
            Root(b"web", 2), 90, 81, {Reason.CHANGED: 9}, verdict=Verdict(0.1, 0.1, 0.2, True), hit=(f, g, h)
        ),
        ProcessLosses(
            Root(b"web", 0, 3),
            60,
            30,
            {Reason.WOULD_FAULT: 6},
            verdict=Verdict(0.5, 0.4, 0.6, True, (Feature.THREAD,)),
            partial={Reason.CHANGED: 24},
            hit=(i, g),
        ),
        ProcessLosses(Root(b"web", 3), 10, 9, {Reason.CHANGED: 1}),
    ]
    first, second = warnings(ledger(*rows))
    assert first == (
        "26.0 % (10.0 to 50.0 of each process) of web × 4's samples lack the name of the function that ran"
        " (changed, would_fault): they are unlike the kept ones (by thread): some of its functions look much"
        " smaller than they are; most were in or near i, g, f; --keep-partial keeps the rest of their stacks"
    )
    assert second.startswith("40.0 % (30.0 to 50.0) of big (1)'s samples were dropped (stalled)")


@given(ANY_TEXT)
def test_a_warning_is_one_line_whatever_a_process_calls_itself(comm: str) -> None:
    root = Root(comm.encode("utf-8", "surrogatepass"), 1)
    (said,) = warnings(ledger(ProcessLosses(root, 20, 10, DROPPED, verdict=TOO_MANY)))
    assert said == printable(said)


def test_folded_merges_equal_text_and_sorts() -> None:
    kernel = (Frame(KERNEL, "b"), Frame(KERNEL, "a;"))
    lines = folded_lines(
        profile_of(
            Sample(Root(b"z", 1), (), 4),
            Sample(Root(b"c", 2), kernel, 2),
            Sample(Root(b"c", 2), (kernel[0], Frame(KERNEL, "a:")), 3),
        )
    )
    assert lines == ["c (2);b_[k];a:_[k] 5", "z (1) 4"]


@given(SAMPLES)
def test_every_folded_line_parses_back(sample: Sample) -> None:
    (line,) = folded_lines(profile_of(sample))
    assert line.splitlines() == [line]
    stack, _, count = line.rpartition(" ")
    assert int(count) == sample.count
    root, *frames = stack.split(";")
    if sample.root.container:
        assert re.fullmatch(r"\[container .*\S.*\]", root)
        root = frames.pop(0)
    if sample.thread is not None:
        assert re.fullmatch(rf"thread .*\S.* \({sample.thread.tid}\)", frames.pop(0))
    assert len(frames) == len(sample.frames)
    assert all(text.strip() for text in frames)
    which = f"{sample.root.processes} ended" if sample.root.processes else f"{sample.root.pid}"
    assert re.fullmatch(rf".*\S.* \({which}\)", root)


@given(st.lists(SAMPLES, max_size=8))
def test_folded_counts_add_up(samples: list[Sample]) -> None:
    lines = folded_lines(profile_of(*samples))
    stacks = [line.rpartition(" ")[0] for line in lines]
    assert len(stacks) == len(set(stacks))
    roots = [root for root, _ in groupby(stack.partition(";")[0] for stack in stacks)]
    assert len(roots) == len(set(roots)), "those of one process are together"
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == sum(sample.count for sample in samples)


@given(ANY_TEXT)
def test_printable_text_is_stable_and_encodable(text: str) -> None:
    once = printable(text)
    assert printable(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
