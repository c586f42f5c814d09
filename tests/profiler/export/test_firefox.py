"""Firefox Profiler's own code loads what is written, upgrades it, and shows what was sampled."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import firefox
from profiler.export.text import function_name, thread_text
from profiler.profile.model import Profile, Root, Sample
from tests.support.export_samples import DETAILED_SAMPLES, ODD_NAMES, oddly_named, profile_of
from tests.support.many_stacks import many_stacks
from tests.support.readers import Refused
from tests.support.readers import firefox as reader
from tests.support.shown_profile import DURATION_MS, MAIN, SHOWN, UNTIMED, WEB, WORKER


def file(profile: Profile, folder: Path) -> Path:
    path = folder / "x.json.gz"
    with path.open("wb") as stream:
        firefox.write(profile, stream)
    return path


def document(profile: Profile) -> dict:
    stream = BytesIO()
    firefox.write(profile, stream)
    return json.loads(gzip.decompress(stream.getvalue()))


def test_every_thread_is_there_under_its_process(tmp_path: Path) -> None:
    with reader.opened(file(SHOWN, tmp_path)) as profiler:
        threads = profiler.threads()
        assert Counter(threads.values()) == {
            ("web (12)", "worker (12)"): 1,
            ("web (12)", "logger (15)"): 1,
            ("web (13)", "web (13)"): 1,
            ("node (77)", "node (77)"): 1,
        }
        handles = {thread: handle for handle, (_, thread) in threads.items()}
        assert profiler.stacks(handles["worker (12)"]) == {
            ("<module>", "View.handle"): 40,
            ("<module>", "View.handle", "libc.so.6!read", "vfs_read"): 10,
        }
        assert profiler.stacks(handles["logger (15)"]) == {("<module>", "</script><b>"): 20}
        assert profiler.stacks(handles["web (13)"]) == {
            ("[truncated]", "<module>", "libsort.so!std::sort<…>"): 30
        }
        assert profiler.categories(handles["worker (12)"]) == {"Python": 40, "kernel": 10}
        assert profiler.categories(handles["web (13)"]) == {"native": 30}
        assert profiler.categories(handles["node (77)"]) == {"generated": 10}


def test_times_and_cpu_usage_are_shown(tmp_path: Path) -> None:
    with reader.opened(file(SHOWN, tmp_path)) as profiler:
        info = profiler.ask("profile", "info", "--all")
        assert info["context"]["rootRange"] == {"start": 0, "end": DURATION_MS}
        cpu_ms = {thread["name"]: thread["cpuMs"] for p in info["processes"] for thread in p["threads"]}
        # What the first sample of a thread stands for lies before its time: nobody counts it.
        assert cpu_ms["worker"] == 49 * 50
        assert cpu_ms["logger"] == 19 * 50
        profiler.run("zoom", "push", "2.0,2.55", "--session", "test")
        (handle,) = (handle for handle, (_, thread) in profiler.threads().items() if "worker" in thread)
        assert profiler.stacks(handle) == {("<module>", "View.handle", "libc.so.6!read", "vfs_read"): 6}


def test_what_was_recorded_and_lost_is_told(tmp_path: Path) -> None:
    with reader.opened(file(SHOWN, tmp_path)) as profiler:
        meta = profiler.ask("profile", "meta")
    assert meta["product"] == "whole system on machine"
    assert meta["startTimeFormatted"] == "2026-11-23T01:07:03.000Z"
    assert meta["interval"] == 50
    (section,) = meta["extra"]
    told = {entry["label"]: entry["value"] for entry in section["entries"]}
    assert told["losses"] == "115 samples · 110 symbolized · 5 dropped (would_fault 5) · 3 lost"
    assert told["note"] == "a note"


def test_threads_and_times_may_be_unknown(tmp_path: Path) -> None:
    with reader.opened(file(UNTIMED, tmp_path)) as profiler:
        counts = {
            process: profiler.stacks(handle).total() for handle, (process, _) in profiler.threads().items()
        }
    assert counts == {"web (12)": 70, "web (13)": 30, "node (77)": 10}


def test_a_large_file_and_an_empty_one(tmp_path: Path) -> None:
    with reader.opened(file(many_stacks(stacks=500, samples=20_000), tmp_path)) as profiler:
        threads = profiler.threads()
        assert len({process for process, _ in threads.values()}) == 40
        some = sorted(threads)[:3]
        found = sum(profiler.stacks(handle).total() for handle in some)
    expected = document(many_stacks(stacks=500, samples=20_000))["threads"]
    assert found == sum(expected[int(handle.removeprefix("t-"))]["samples"]["length"] for handle in some)
    with reader.opened(file(profile_of(), tmp_path)) as profiler:
        ((handle, (process, _)),) = profiler.threads().items()
        assert process == "no samples (0)"
        assert profiler.stacks(handle) == {}


def test_the_oddest_names_are_read(tmp_path: Path) -> None:
    with reader.opened(file(oddly_named(), tmp_path)) as profiler:
        threads = profiler.threads()
        assert len(threads) == len({process for process, _ in threads.values()}) == len(ODD_NAMES)
        handles = {thread: handle for handle, (_, thread) in threads.items()}
        for sample in oddly_named().samples[::5]:
            handle = handles[thread_text(sample.thread).removeprefix("thread ")]
            names = tuple(map(function_name, sample.frames))
            assert profiler.stacks(handle, name="name") == {names: 1}


def test_the_reader_refuses_a_version_that_it_does_not_know(tmp_path: Path) -> None:
    wrong = document(SHOWN)
    wrong["meta"]["preprocessedProfileVersion"] = 1000
    (path := tmp_path / "x.json.gz").write_bytes(gzip.compress(json.dumps(wrong).encode()))
    with pytest.raises(Refused, match="load failed"), reader.opened(path):
        pass


def test_processes_of_one_pid_are_two() -> None:
    samples = [Sample(root, (MAIN,), 1) for root in (Root(b"a", 5), Root(b"b", 5), Root(b"c", 0, 3))]
    threads = document(profile_of(*samples))["threads"]
    assert [(thread["processName"], thread["pid"]) for thread in threads] == [
        ("a", "5"),
        ("b", "5-2"),
        ("c (3 ended)", "0"),
    ]


def test_samples_of_one_moment_are_one_row() -> None:
    sample = Sample(WEB, (MAIN,), 3, WORKER, (5, 5, 9))
    (thread,) = document(replace(profile_of(sample), frequency_hz=10))["threads"]
    assert thread["samples"]["timeDeltas"] == [5, 4]
    assert thread["samples"]["weight"] == [2, 1]
    assert thread["samples"]["threadCPUDelta"] == [200_000, 100_000]


def test_a_sample_at_the_end_is_within_the_recording() -> None:
    sample = Sample(WEB, (MAIN,), 2, WORKER, (5, 1000))
    assert document(replace(profile_of(sample), duration_s=1.0))["meta"]["profilingEndTime"] == 1001
    assert document(replace(profile_of(sample), duration_s=1.5))["meta"]["profilingEndTime"] == 1500


@given(st.lists(DETAILED_SAMPLES, max_size=5))
@settings(max_examples=60, deadline=None)
def test_every_table_has_its_length_and_no_number_leads_nowhere(samples: list[Sample]) -> None:
    found = document(profile_of(*samples))
    shared = found["shared"]
    tables = {name: table for name, table in shared.items() if name != "stringArray"}
    tables |= {f"samples {i}": thread["samples"] for i, thread in enumerate(found["threads"])}
    for name, table in tables.items():
        columns = [column for column in table.values() if isinstance(column, list)]
        assert {len(column) for column in columns} == {table["length"]}, name
    strings = shared["stringArray"]
    assert len(set(strings)) == len(strings)
    frames, functions, stacks = shared["frameTable"], shared["funcTable"], shared["stackTable"]
    categories = found["meta"]["categories"]
    assert categories[0]["color"] == "grey"
    _lead_into(stacks["frame"], frames["length"])
    _lead_into(frames["func"], functions["length"])
    _lead_into(frames["category"], len(categories))
    _lead_into(
        functions["name"] + shared["resourceTable"]["name"] + shared["sources"]["filename"], len(strings)
    )
    _lead_into([each for each in functions["resource"] if each >= 0], shared["resourceTable"]["length"])
    _lead_into([each for each in functions["source"] if each is not None], shared["sources"]["length"])
    for index, below in enumerate(stacks["prefix"]):
        assert below is None or 0 <= below < index
    for thread in found["threads"]:
        _lead_into(thread["samples"]["stack"], stacks["length"])
        assert all(delta >= 0 for delta in thread["samples"]["timeDeltas"])


def _lead_into(numbers: list[int], size: int) -> None:
    assert all(0 <= number < size for number in numbers)
