"""One profile, with any names: every format says of the same stacks that they were sampled as often."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export.registry import format_for
from profiler.export.text import frame_text, function_name, marked_name, root_text, thread_text
from profiler.profile.model import Profile, Sample
from profiler.profile.recording import read_profile
from profiler.profile.view import Group, View
from symbolizers.frame import MARKER, Frame
from tests.support import read_back
from tests.support.export_samples import DETAILED_SAMPLES, profile_of
from tests.support.many_stacks import many_stacks
from tests.support.recordings import HZ, TAKEN, Taken, write_recording

PROFILES = st.builds(
    lambda samples, hz: replace(profile_of(*samples), frequency_hz=hz),
    st.lists(DETAILED_SAMPLES, max_size=8),
    st.integers(1, 1000),
)


def written(name: str, profile: Profile) -> bytes:
    stream = BytesIO()
    format_for("", name).write(profile, stream)
    return stream.getvalue()


def lane(sample: Sample) -> str:
    thread = "" if sample.thread is None else f" · {thread_text(sample.thread)}"
    return root_text(sample.root) + thread


def expected(name: str, profile: Profile) -> read_back.Stacks:
    """What a file of this format should say, from the samples."""
    found: read_back.Stacks = Counter()
    for sample in profile.samples:
        frames = sample.frames
        if name == "folded":
            thread = () if sample.thread is None else (thread_text(sample.thread),)
            found[root_text(sample.root), (*thread, *map(frame_text, frames))] += sample.count
            continue
        if name == "html":
            found[lane(sample), tuple(map(frame_text, frames))] += sample.count
            continue
        if not frames and name in ("speedscope", "firefox"):
            frames = (Frame(MARKER, root_text(sample.root)),)
        text = marked_name if name in ("speedscope", "pprof") else function_name
        found[lane(sample), tuple(map(text, frames))] += sample.count
    return found


@pytest.mark.parametrize("name", read_back.READERS)
@settings(max_examples=60, deadline=None)
@given(profile=PROFILES)
def test_every_stack_is_there_as_often_as_it_was_sampled(name: str, profile: Profile) -> None:
    found = read_back.READERS[name](written(name, profile), profile.frequency_hz)
    assert +found == expected(name, profile)


@given(profile=PROFILES)
@settings(max_examples=60, deadline=None)
def test_the_first_profile_of_speedscope_is_the_sum_of_the_others(profile: Profile) -> None:
    contents = written("speedscope", profile)
    whole = read_back.speedscope_whole(contents, profile.frequency_hz)
    assert whole.total() == sum(sample.count for sample in profile.samples)
    if len({lane(sample) for sample in profile.samples}) < 2:
        return
    processes: Counter[str] = Counter()
    for (_, names), count in whole.items():
        processes[names[0]] += count
    roots: Counter[str] = Counter()
    for sample in profile.samples:
        roots[marked_name(Frame(MARKER, root_text(sample.root)))] += sample.count
    assert processes == roots


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("name", read_back.READERS)
def test_a_large_recording_too(name: str, timed: bool) -> None:
    profile = many_stacks(stacks=3000, samples=200_000, timed=timed)
    assert read_back.READERS[name](written(name, profile), 100) == expected(name, profile)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.lists(TAKEN, max_size=6), threads=st.booleans(), invert=st.booleans())
def test_every_view_of_a_recording_has_all_its_samples(
    tmp_path: Path, samples: list[Taken], threads: bool, invert: bool
) -> None:
    path = tmp_path / "any.pidflame"
    path.unlink(missing_ok=True)
    write_recording(path, samples)
    total = sum(sample.weight for sample in samples)
    for group in Group:
        profile = read_profile(str(path), View(group=group, threads=threads, times=threads, invert=invert))
        assert sum(sample.count for sample in profile.samples) == total
        for name, read in read_back.READERS.items():
            assert read(written(name, profile), HZ).total() == total, (group, name)
