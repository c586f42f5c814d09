"""What is written while a recording goes on shows the same as what was counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.profile.model import Profile, Root
from profiler.profile.places import Place
from profiler.profile.recording import query, read_profile
from profiler.profile.view import View
from profiler.profile.writer import RecordingWriter
from profiler.run.aggregate import Aggregator
from profiler.run.journal import Journal
from profiler.run.stacks import Element, Inner, KernelAddress, NativeAddress, RunningLine
from symbolizers.errors import Reason
from symbolizers.frame import INLINED, KERNEL, MARKER, NATIVE, Frame
from tests.support.export_samples import profile_of
from tests.support.samples import raw_sample, told_file

FILE = told_file(5)
MAIN, WORK = Frame("python", "main", "app.py", 1), Frame("python", "work", "app.py", 8)
READ, LOOP = NativeAddress(FILE, 0x10, "/lib/libc.so.6"), NativeAddress(FILE, 0x20, "/lib/libc.so.6")
COPY = NativeAddress(FILE, 0x30, "/lib/libc.so.6")
COLLECT, TRAVERSE = NativeAddress(FILE, 0x40, "/lib/libc.so.6"), NativeAddress(FILE, 0x50, "/lib/libc.so.6")
CALL = KernelAddress(0xFFFF_FFFF_8100_0000)
NAMES: dict[Element, Frame] = {
    READ: Frame(NATIVE, "read", "libc.so.6"),
    LOOP: Frame(NATIVE, "loop", "libc.so.6"),
    COPY: Frame(NATIVE, "copy", "libc.so.6"),
    COLLECT: Frame(NATIVE, "gc_collect_main.lto_priv.0", "libc.so.6"),
    TRAVERSE: Frame(NATIVE, "PyGC_Collect", "gcmodule.c", 2094),
    CALL: Frame(KERNEL, "vfs_read"),
}
INLINED_IN: dict[Element, tuple[Frame, ...]] = {
    COPY: (Frame(INLINED, "copy_words", "copy.h", 7), Frame(INLINED, "load", "copy.h", 3)),
    TRAVERSE: (Frame(INLINED, "gc_collect_with_callback", "gcmodule.c", 1300),),
}
ELEMENTS: tuple[Element, ...] = (
    *(MAIN, RunningLine(MAIN, 3), WORK, RunningLine(WORK, 8), RunningLine(WORK, 9)),
    *(
        READ,
        Inner(READ),
        LOOP,
        Inner(LOOP),
        COPY,
        Inner(COPY),
        COLLECT,
        Inner(COLLECT),
        TRAVERSE,
        Inner(TRAVERSE),
        CALL,
        Frame(MARKER, "[gc]"),
        Inner(Frame(NATIVE, "[jit]")),
    ),
)
VIEWS = [View(lines=lines, native=native) for lines in (False, True) for native in (False, True)]


def written(path: Path, stacks: list[tuple[Element, ...]]) -> Aggregator:
    """Counts them, and writes them to a file."""
    aggregator = Aggregator()
    journal = Journal(RecordingWriter(str(path)))
    aggregator.write_to(journal)
    journal.begin(0, {"frequency_hz": 100})
    for number, stack in enumerate(stacks):
        aggregator.add(raw_sample(pid=7, tid=7, comm=b"app", time_ns=number), stack)
    aggregator.drop(raw_sample(pid=7, tid=7, comm=b"app"), Reason.EXITED)
    journal.write_if_due(1 << 62, aggregator.elements)
    profile = replace(profile_of(), samples=(), losses=aggregator.losses(lost=0), frequency_hz=100)
    journal.finish(aggregator.elements, NAMES, INLINED_IN, {FILE: "0f1e"}, {}, profile)
    assert not journal.failure
    return aggregator


def counts(samples: Profile | Aggregator, view: View) -> Counter[tuple[Root, tuple[Frame, ...]]]:
    is_counted = isinstance(samples, Aggregator)
    found = samples.samples(NAMES, view=view, inlined=INLINED_IN) if is_counted else samples.samples
    parts: Counter[tuple[Root, tuple[Frame, ...]]] = Counter()
    for each in found:
        parts[each.root, each.frames] += each.count
    return parts


@given(st.lists(st.lists(st.sampled_from(ELEMENTS), max_size=5).map(tuple), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_report_shows_what_was_counted_with_every_choice(stacks: list[tuple[Element, ...]]) -> None:
    with TemporaryDirectory() as folder:
        aggregator = written(path := Path(folder) / "run.pidflame", stacks)
        for view in VIEWS:
            assert counts(read_profile(str(path), view), view) == counts(aggregator, view)


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        (View(), ("main", 1, "work", 8, "read", 0)),
        (View(lines=True), ("main", 0, "work", 9, "read", 0)),
        (View(native=True), ("main", 1, "loop", 0, "work", 8, "read", 0)),
    ],
)
def test_lines_and_hidden_frames_show_where_they_are_wanted(
    tmp_path: Path, view: View, shown: tuple[str | int, ...]
) -> None:
    written(tmp_path / "run.pidflame", [(MAIN, Inner(LOOP), RunningLine(WORK, 9), READ)])
    (sample,) = read_profile(str(tmp_path / "run.pidflame"), view).samples
    assert tuple(part for frame in sample.frames for part in (frame.name, frame.line)) == shown


@pytest.mark.parametrize("collect", [(COLLECT,), (Inner(COLLECT),), (Inner(TRAVERSE), Inner(READ), COLLECT)])
def test_what_an_interpreter_does_by_itself_has_a_frame(tmp_path: Path, collect: tuple[Element, ...]) -> None:
    """One, however many of its functions call each other, hidden or not."""
    aggregator = written(path := tmp_path / "run.pidflame", [(MAIN, *collect, READ)])
    (sample,) = read_profile(str(path)).samples
    assert sample.frames == (MAIN, Frame(MARKER, "[gc]"), NAMES[READ])
    assert counts(aggregator, View()) == {(sample.root, sample.frames): 1}
    (sample,) = read_profile(str(path), View(native=True)).samples
    assert NAMES[COLLECT] in sample.frames
    assert sample.frames[1].kind == NATIVE


def test_a_frame_keeps_its_place(tmp_path: Path) -> None:
    written(path := tmp_path / "run.pidflame", [(RunningLine(MAIN, 3), Inner(LOOP), READ, CALL)])
    columns = "SELECT function.name, frame.line, inner, path, address, build_id FROM frame LEFT JOIN function"
    rows = query(str(path), f"{columns} ON function.id = function WHERE kind <> 'marker' ORDER BY frame.id")[
        1
    ]
    assert rows == [
        ("main", 3, 0, "", 0, ""),
        ("loop", 0, 1, "/lib/libc.so.6", 0x20, "0f1e"),
        ("read", 0, 0, "/lib/libc.so.6", 0x10, "0f1e"),
        ("vfs_read", 0, 0, "[kernel]", CALL.address - (1 << 64), ""),
    ]
    places = read_profile(str(path), View(places=True)).places
    assert places[NAMES[READ]] == Place(0, 0x10, "0f1e")
    assert places[NAMES[CALL]].address == CALL.address


def test_inlined_functions_stand_on_the_one_that_has_their_place(tmp_path: Path) -> None:
    written(path := tmp_path / "run.pidflame", [(MAIN, COPY), (MAIN, Inner(COPY), READ)])
    hidden = (MAIN, NAMES[READ])
    inlined = (NAMES[COPY], *INLINED_IN[COPY])
    for native, below_read in ((False, hidden), (True, (MAIN, *inlined, NAMES[READ]))):
        profile = read_profile(str(path), View(native=native, places=True))
        assert [each.frames for each in profile.samples] == [(MAIN, *inlined), below_read]
        assert profile.places.keys() == {NAMES[COPY], NAMES[READ]}
        assert profile.places[NAMES[COPY]] == Place(0, 0x30, "0f1e")
