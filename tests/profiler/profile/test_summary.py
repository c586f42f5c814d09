"""A recording keeps the summary of what it usually shows: the same as its samples give, and bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.profile.model import Process, Root, Sample
from profiler.profile.recording import BadRecording, read_profile, read_summary
from profiler.profile.summary import (
    FACT,
    MOST_DEPTH,
    MOST_FUNCTIONS,
    HotFunction,
    Summary,
    summary_from,
    summary_of,
    summary_text,
)
from profiler.profile.writer import add_fact
from symbolizers.frame import NATIVE, Frame
from tests.support.export_samples import COMMS, FRAMES
from tests.support.recordings import Taken, write_recording

MAIN, WORK, WAIT = (Frame(NATIVE, name, "app") for name in ("main", "work", "wait"))
WEB, SHELL = Root(b"web", 7), Root(b"sh", 8)


def test_functions_have_their_own_samples_and_those_of_their_callees() -> None:
    samples = [Sample(WEB, (MAIN, WORK, WORK), 3), Sample(WEB, (MAIN,), 1), Sample(SHELL, (MAIN, WAIT), 2)]
    summary = summary_of(samples)
    assert summary.samples == 6
    assert summary.functions == (HotFunction(WORK, 3, 3), HotFunction(WAIT, 2, 2), HotFunction(MAIN, 1, 6))
    assert summary.path == ((WEB, 4), (MAIN, 4), (WORK, 3), (WORK, 3))


def test_the_path_ends_where_no_callee_has_half() -> None:
    samples = [Sample(WEB, (MAIN, Frame(NATIVE, str(n), "app")), 1) for n in range(3)]
    assert summary_of(samples).path == ((WEB, 3), (MAIN, 3))


def test_lines_of_a_function_count_together() -> None:
    lines = [Frame("python", "f", "a.py", line) for line in (3, 4)]
    summary = summary_of([Sample(WEB, (frame,), 1) for frame in lines])
    assert summary.functions == (HotFunction(Frame("python", "f", "a.py"), 2, 2),)


_ROOTS = st.builds(lambda comm, pid: Root(comm, pid), COMMS, st.integers(1, 9))
SAMPLES = st.builds(
    lambda root, frames, count: Sample(root, tuple(frames), count),
    _ROOTS,
    st.lists(FRAMES, max_size=4),
    st.integers(1, 5),
)


@given(st.lists(SAMPLES, max_size=30))
def test_what_is_kept_is_read(samples: list[Sample]) -> None:
    summary = summary_of(samples)
    assert summary_from(summary_text(summary)) == summary
    assert len(summary.functions) <= MOST_FUNCTIONS


def test_a_recording_that_was_cut_off_has_no_summary(tmp_path: Path) -> None:
    path = str(write_recording(tmp_path / "a.pidflame", [Taken(Process(7, b"web"), (MAIN,))]))
    assert read_summary(path) is None
    add_fact(path, FACT, summary_text(summary_of(read_profile(path).samples)))
    assert read_summary(path) == Summary(1, (HotFunction(MAIN, 1, 1),), ((WEB, 1), (MAIN, 1)))


@pytest.mark.parametrize(
    "change",
    [
        {"samples": -1},
        {"samples": 1 << 53},
        {"samples": "many"},
        {"functions": [["native", "f", "a", 0, 1, 1]] * (MOST_FUNCTIONS + 1)},
        {"functions": [["native", "f", "a", 0, 1.5, 1]]},
        {"functions": [["native", "f"]]},
        {"functions": 3},
        {"root": ["web", 7]},
        {"path": [["native", "f", "a", 0, 1]] * (MOST_DEPTH + 1)},
        {"path": [None]},
    ],
)
def test_a_forged_summary_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = str(write_recording(tmp_path / "a.pidflame", [Taken(Process(7, b"web"), (MAIN,))]))
    figures = json.loads(summary_text(summary_of([Sample(WEB, (MAIN,), 1)])))
    add_fact(path, FACT, json.dumps(figures | change))
    with pytest.raises(BadRecording):
        read_summary(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
def test_a_summary_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = str(write_recording(tmp_path / "a.pidflame", [Taken(Process(7, b"web"), (MAIN,))]))
    add_fact(path, FACT, text)
    with pytest.raises(BadRecording):
        read_summary(path)
