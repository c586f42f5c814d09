"""The functions that a finished recording names first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profiler.export.hottest import Hot, hottest, hottest_lines
from profiler.export.text import printable
from profiler.profile.model import Root, Sample
from symbolizers.frame import KERNEL, NATIVE, Frame
from tests.support.export_samples import SAMPLES

MAIN, WORK, COPY = (
    Frame("python", "main", "app.py", 1),
    Frame("python", "work", "app.py", 9),
    Frame(KERNEL, "copy"),
)


def test_own_samples_count_and_processes_of_a_program_together() -> None:
    samples = [
        Sample(Root(b"app", 1), (MAIN, WORK), 30),
        Sample(Root(b"app", 2), (MAIN, WORK), 20),
        Sample(Root(b"app", 2), (MAIN,), 10),
        Sample(Root(b"other", 3), (MAIN, WORK, COPY), 25),
        Sample(Root(b"other", 3), (), 15),
    ]
    assert hottest(samples, 3) == [
        Hot(0.5, "work (app.py:9)", "app × 2"),
        Hot(0.25, "copy_[k]", "other (3)"),
        Hot(0.15, "[no frames]", "other (3)"),
    ]
    assert hottest([], 3) == hottest_lines([], 3, 80) == []


def test_addresses_without_names_count_by_their_file() -> None:
    frames = [Frame(NATIVE, f"[libz.so.1+0x{offset:x}]") for offset in (1, 2, 3)]
    samples = [Sample(Root(b"zip", 9, 0), (frame,), 1) for frame in frames]
    assert hottest(samples, 3) == [Hot(1.0, "[libz.so.1]", "zip (9)")]


def test_many_that_have_ended_are_as_many() -> None:
    samples = [Sample(Root(b"sh", 0, 1200), (COPY,), 1), Sample(Root(b"sh", 7), (COPY,), 1)]
    assert hottest(samples, 1)[0].program == "sh × 1,201"
    assert hottest([Sample(Root(b"sh", 0, 1), (COPY,), 1)], 1)[0].program == "sh (1 ended)"


@given(st.lists(SAMPLES, max_size=6), st.integers(40, 120))
def test_lines_are_few_short_and_printable(samples: list[Sample], width: int) -> None:
    lines = hottest_lines(samples, 3, width)
    assert len(lines) == min(3, len(hottest(samples, 99)))
    for line in lines:
        assert len(line) <= width
        assert line == printable(line)
        assert 0 < float(line.split("%")[0]) <= 100 or line.startswith("  0.0 %")
