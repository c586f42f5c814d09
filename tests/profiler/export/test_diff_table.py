"""The table of a diff: which functions it lists, in which order, and how it fits a terminal."""

from __future__ import annotations

import re
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import diff_table
from profiler.export.diff_table import MAX_ROWS, lines
from profiler.profile.diff import Basis, Diff, compare
from profiler.profile.model import Profile, Root, Sample
from symbolizers.frame import NATIVE, Frame
from tests.support.export_samples import SAMPLES, profile_of

ROOT = Root(b"p", 1)


def profile(**counts: int) -> Profile:
    frames = {name: (Frame(NATIVE, "main"), Frame(NATIVE, name, "lib.so")) for name in counts}
    return profile_of(*(Sample(ROOT, frames[name], count) for name, count in counts.items()))


DIFF = compare(
    profile(hot=3000, slow=1000, old=400, same=5600), profile(hot=4000, slow=500, new=300, same=5200)
)


def rows(found: list[str]) -> list[str]:
    """The functions, in their order."""
    start = next((at for at, line in enumerate(found) if line.endswith("function")), None)
    if start is None:
        return []
    return [line.rpartition("  ")[2] for line in found[start + 1 : found.index("", start)]]


def test_the_greatest_change_comes_first() -> None:
    found = list(lines(DIFF))
    assert rows(found) == ["hot (lib.so)", "slow (lib.so)", "same (lib.so)", "old (lib.so)", "new (lib.so)"]
    assert found[5] == (
        "▲  30.00 %  40.00 %  +10.00 (+8.68 to +11.31)  ▲  30.00 %  40.00 %  p < 0.001  hot (lib.so)"
    )
    assert [line[0] for line in found[5:10]] == ["▲", "▼", "▼", "−", "+"]  # noqa: RUF001 - the mark
    assert found[-1].startswith("5 of 6 functions changed (1 new, 1 more, 2 less, 1 gone); ")


def test_noise_is_listed_only_if_asked_for() -> None:
    assert "main" not in " ".join(lines(DIFF))
    assert rows(list(lines(DIFF, every=True)))[-1] == "main"


def test_nothing_to_find_is_said_with_what_could_have_been_found() -> None:
    found = list(lines(compare(profile(f=2000, g=8000), profile(f=2000, g=8000))))
    assert rows(found) == []
    assert found[-1] == (
        "no difference in 3 functions that chance would not explain; in a function of 20 %, 1.3 points would"
        " show; by samples: percentages are of all samples"
    )


def test_by_time_the_unit_is_said() -> None:
    timed = [replace(profile(f=20), duration_s=seconds, frequency_hz=20) for seconds in (1.0, 2.0)]
    found = list(lines(compare(*timed, Basis.TIME), every=True))
    assert " 100.00 %  50.00 % " in found[5]
    assert found[-1].endswith("by time: percentages are of one CPU's time")


def test_a_long_table_is_cut_and_says_so() -> None:
    names = {f"f{index}": 1000 for index in range(MAX_ROWS + 2)}
    diff = compare(profile(**names), profile(same=100_000))
    found = list(lines(diff))
    assert len(rows(found)) == MAX_ROWS + 1
    assert "and 3 more; --all shows them" in found
    assert len(rows(list(lines(diff, every=True)))) == len(diff.functions)


def test_colour_is_asked_for() -> None:
    coloured = list(lines(DIFF, colour=True, every=True))
    plain = list(lines(DIFF, every=True))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain
    assert coloured[5].startswith("\x1b[31m▲")
    assert next(line for line in coloured if line.endswith("main\x1b[0m")).startswith("\x1b[2m")
    assert not any("\x1b" in line for line in plain)


def test_rows_fit_the_terminal() -> None:
    long_name = "f" * 300
    diff = compare(profile(**{long_name: 100, "g": 9900}), profile(**{long_name: 900, "g": 9100}))
    for width in (60, 80, 100, 120, 200):
        row = next(line for line in lines(diff, width=width) if "fff" in line)
        assert all(len(part) <= max(width, 80) for part in row.split("\n"))
        assert ("\n" in row) == (width < 100)
    assert any(long_name in line for line in lines(diff))


@settings(deadline=None)
@given(st.lists(SAMPLES, max_size=5), st.lists(SAMPLES, max_size=5))
def test_any_names_make_lines_of_text(before: list[Sample], after: list[Sample]) -> None:
    diff: Diff = compare(profile_of(*before), profile_of(*after))
    stream = BytesIO()
    diff_table.write(diff, stream)
    text = stream.getvalue().decode()
    assert len(text.splitlines()) == len(list(lines(diff)))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
