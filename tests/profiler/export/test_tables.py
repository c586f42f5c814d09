"""What the formats that are made of tables share."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from profiler.export.tables import (
    MAX_NS,
    Table,
    duration_ns,
    first_line,
    is_timed,
    lanes,
    period_ns,
    started_ns,
)
from profiler.profile.model import Process, Root, Sample, Thread
from profiler.profile.places import NOWHERE, Place
from symbolizers.frame import INLINED, NATIVE, Frame
from tests.support.export_samples import profile_of
from tests.support.shown_profile import MAIN, SHOWN


def test_keys_that_show_the_same_share_a_row() -> None:
    table: Table[str, str, str] = Table(str.lower, str, first=1)
    assert [table[key] for key in ("a", "B", "A", "b", "c")] == ["1", "2", "1", "2", "3"]
    assert table.rows == {"a": 1, "b": 2, "c": 3}


def test_lanes_are_threads_those_with_most_samples_first() -> None:
    app, other = Root(b"app", 1), Root(b"other", 2)
    few, many = Thread(b"few", 10), Thread(b"many", 11)
    process = Process(1, b"app", container="c")
    found = lanes(
        profile_of(
            Sample(other, (), 7),
            Sample(app, (), 1, few),
            Sample(app, (MAIN,), 5, many, (), process),
            Sample(app, (MAIN,), 2, few),
        )
    )
    assert [(lane.text, lane.count, len(lane.samples)) for lane in found] == [
        ("app (1) · thread many (11)", 5, 1),
        ("app (1) · thread few (10)", 3, 2),
        ("other (2)", 7, 1),
    ]
    assert [lane.process for lane in found] == [process, None, None]


def test_processes_that_read_the_same_are_one() -> None:
    found = lanes(profile_of(Sample(Root(b"\xff", 1), (), 1), Sample(Root(rb"\xff", 1), (), 2)))
    assert [(lane.text, lane.count) for lane in found] == [(r"\xff (1)", 3)]


def test_times_count_only_if_there_is_one_for_each_sample() -> None:
    sample = Sample(Root(b"app", 1), (), 2)
    assert [is_timed(replace(sample, times_ms=times)) for times in ((), (1,), (1, 2))] == [False, False, True]


@pytest.mark.parametrize(
    ("started_at", "since_1970_ns"),
    [
        ("1970-01-01T02:00:01+02:00", 10**9),
        ("2026-11-23T01:07:03+01:00", 1_795_392_423 * 10**9),
        ("1960-01-01T00:00:00+00:00", 0),
        ("9999-12-31T23:59:59+00:00", 0),
        ("now", 0),
        ("", 0),
    ],
)
def test_the_start_since_1970(started_at: str, since_1970_ns: int) -> None:
    assert started_ns(replace(SHOWN, started_at=started_at)) == since_1970_ns


def test_period_and_duration() -> None:
    assert period_ns(replace(SHOWN, frequency_hz=3)) == 333_333_333
    assert duration_ns(SHOWN) == 4 * 10**9
    assert duration_ns(replace(SHOWN, duration_s=1e30)) == MAX_NS


def test_where_a_function_begins_is_not_the_line_that_runs_in_a_native_one() -> None:
    assert first_line(MAIN, NOWHERE) == MAIN.line > 0
    assert first_line(MAIN._replace(line=99), Place(first_line=3)) == 3
    for kind in (NATIVE, INLINED):
        assert first_line(Frame(kind, "f", "a.c", 7), Place(address=0x10)) == 0
