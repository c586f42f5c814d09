"""Profiles for the exporters' tests: any that a hostile target could cause, and a frame around samples."""

from __future__ import annotations

from hypothesis import strategies as st

from profiler.profile.model import Losses, Profile, Root, Sample, Thread
from symbolizers.frame import KERNEL, MARKER, NATIVE, Frame
from symbolizers.registry import LANGUAGES

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)
KINDS = (*(language.name for language in LANGUAGES), NATIVE, KERNEL, MARKER)
FRAMES = st.builds(
    Frame,
    kind=st.sampled_from(KINDS),
    name=ANY_TEXT,
    file=ANY_TEXT,
    line=st.integers(min_value=0, max_value=1 << 31),
)
COMMS = st.binary(max_size=16)
SAMPLES = st.builds(
    Sample,
    root=st.one_of(
        st.builds(Root, comm=COMMS, pid=st.integers(1, 1 << 22), processes=st.just(0)),
        st.builds(Root, comm=COMMS, pid=st.just(0), processes=st.integers(1, 1 << 22)),
    ),
    frames=st.lists(FRAMES, max_size=6).map(tuple),
    count=st.integers(1, 10**9),
    thread=st.none()
    | st.builds(Thread, comm=st.binary(max_size=16), tid=st.integers(1, 1 << 22), name=ANY_TEXT),
)


def profile_of(*samples: Sample) -> Profile:
    """A profile of these samples that lost none."""
    total = sum(sample.count for sample in samples)
    return Profile(
        samples=samples,
        losses=Losses(total, total, {}, 0),
        host="host",
        started_at="2026-11-23T01:07:03+01:00",
        duration_s=1.0,
        frequency_hz=20,
        cpus=2,
    )
