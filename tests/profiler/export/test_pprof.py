"""Debian's ``go tool pprof`` reads what is written, and shows what was sampled."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.export import pprof
from profiler.export.text import marked_name
from profiler.profile.model import Profile, Sample
from tests.support.export_samples import DETAILED_SAMPLES, ODD_NAMES, oddly_named, profile_of
from tests.support.many_stacks import many_stacks
from tests.support.readers import Refused
from tests.support.readers import pprof as reader
from tests.support.readers.messages import pprof_profile
from tests.support.shown_profile import PERIOD_NS, PLACED, SHOWN, UNTIMED


def written(profile: Profile) -> bytes:
    stream = BytesIO()
    pprof.write(profile, stream)
    return stream.getvalue()


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    (path := tmp_path / "x.pb.gz").write_bytes(written(SHOWN))
    return path


def test_top_shows_the_cpu_time_of_each_function_by_its_name(shown: Path) -> None:
    counts = {
        "View.handle": (40, 50),
        "</script><b>": (20, 20),
        "<module>": (0, 100),
        "std::sort<…>": (30, 30),
        "read": (0, 10),
        "vfs_read_[k]": (10, 10),
        "render_[j]": (10, 10),
        "[truncated]": (0, 30),
    }
    expected = {name: (own * PERIOD_NS, all_ * PERIOD_NS) for name, (own, all_) in counts.items()}
    assert reader.top(shown) == expected
    by_count = reader.pprof(shown, "-top", "-sample_index=samples")
    assert "Total samples = 110" in by_count
    assert "Showing nodes accounting for 110, 100% of 110 total" in by_count


def test_raw_has_every_sample_with_process_and_thread(shown: Path) -> None:
    samples = reader.raw_samples(shown)
    assert {(sample.values, sample.labels) for sample in samples} == {
        ((40, 40 * PERIOD_NS), _labels(process="web", pid=12, thread="worker", tid=12)),
        ((10, 10 * PERIOD_NS), _labels(process="web", pid=12, thread="worker", tid=12)),
        ((20, 20 * PERIOD_NS), _labels(process="web", pid=12, thread="logger", tid=15)),
        ((30, 30 * PERIOD_NS), _labels(process="web", pid=13, container="3f4e")),
        ((10, 10 * PERIOD_NS), _labels(process="node", pid=77)),
    }


def _labels(**labels: object) -> frozenset[tuple[str, str]]:
    return frozenset((key, str(value)) for key, value in labels.items())


def test_raw_has_places_modules_times_and_losses(shown: Path) -> None:
    text = reader.pprof(shown, "-raw")
    # Newer ones have a column behind the line.
    assert re.search(r" View\.handle views\.py:40(:0)? ", text)
    assert re.search(r" render_\[j\] page\.js:7(:0)? ", text)
    assert all(f" {module}  [FN]" in text for module in ("libc.so.6", "libsort.so", "[kernel.kallsyms]"))
    assert "Duration: 4" in text
    assert "Time: 2026-11-23 01:07:03 +0000 UTC" in text
    assert "Period: 50000000" in text
    assert "Comment: losses: 115 samples · 110 symbolized · 5 dropped (would_fault 5) · 3 lost" in text
    assert "Comment: note: a note" in text


def test_raw_has_addresses_and_build_ids(tmp_path: Path) -> None:
    (path := tmp_path / "x.pb.gz").write_bytes(written(PLACED))
    text = reader.pprof(path, "-raw")
    assert re.search(r": 0x1234 M=\d+ read libc\.so\.6", text)
    assert re.search(r": 0xffffffff81000000 M=\d+ vfs_read_\[k\]", text)
    assert re.search(r"0x0/0x1235/0x0 libc\.so\.6 0f1e2d", text)
    assert reader.counts_by_process(path) == {"web (12)": 70, "web (13)": 30, "node (77)": 10}


def test_a_function_has_the_line_where_it_begins() -> None:
    profile = pprof_profile(written(PLACED))
    lines = {profile.string_table[each.name]: each.start_line for each in profile.function}
    assert lines["View.handle"] == 38
    assert lines["<module>"] == 1
    assert {line.line for location in profile.location for line in location.line} >= {40, 1}


def test_tags_put_processes_below_the_stacks(shown: Path) -> None:
    functions = reader.top(shown, "-tagroot=process,pid")
    assert functions["web"].total_ns == 100 * PERIOD_NS
    assert functions["12"].total_ns == 70 * PERIOD_NS
    assert functions["13"].total_ns == 30 * PERIOD_NS


def test_threads_and_times_may_be_unknown(tmp_path: Path) -> None:
    (path := tmp_path / "x.pb.gz").write_bytes(written(UNTIMED))
    assert reader.counts_by_process(path) == {"web (12)": 70, "web (13)": 30, "node (77)": 10}


def test_a_large_file_and_an_empty_one(tmp_path: Path) -> None:
    (path := tmp_path / "x.pb.gz").write_bytes(written(many_stacks(stacks=3000, samples=40_000)))
    assert sum(sample.values[0] for sample in reader.raw_samples(path)) == 40_000
    path.write_bytes(written(profile_of()))
    assert reader.raw_samples(path) == []


def test_the_oddest_names_are_read(tmp_path: Path) -> None:
    (path := tmp_path / "x.pb.gz").write_bytes(written(oddly_named()))
    samples = reader.raw_samples(path)
    assert [sample.values[0] for sample in samples] == [1] * len(ODD_NAMES)
    names = {marked_name(frame) for sample in oddly_named().samples for frame in sample.frames}
    assert {name.strip() for name in names} == {name.strip() for name in reader.top(path)}


def test_the_reader_refuses_half_a_file(shown: Path) -> None:
    contents = shown.read_bytes()
    shown.write_bytes(contents[: len(contents) // 2])
    with pytest.raises(Refused):
        reader.raw_samples(shown)


@given(st.lists(DETAILED_SAMPLES, max_size=5))
@settings(max_examples=60, deadline=None)
def test_every_number_leads_somewhere_and_nothing_is_there_twice(samples: list[Sample]) -> None:
    profile = pprof_profile(written(profile_of(*samples)))
    strings = list(profile.string_table)
    assert strings[0] == ""
    assert len(set(strings)) == len(strings)
    tables = (profile.mapping, profile.location, profile.function)
    for table in tables:
        assert [entry.id for entry in table] == list(range(1, len(table) + 1))
        contents = [entry.SerializeToString()[2:] for entry in table if entry.id < 128]
        assert len(set(contents)) == len(contents)
    mappings, locations, functions = map(len, tables)
    assert all(0 <= function.name < len(strings) for function in profile.function)
    assert all(location.mapping_id <= mappings for location in profile.location)
    assert all(1 <= location.line[0].function_id <= functions for location in profile.location)
    assert all(1 <= index <= locations for sample in profile.sample for index in sample.location_id)
