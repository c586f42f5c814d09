"""Profiles for the exporters' tests: any that a hostile target could cause, and a frame around samples."""

from __future__ import annotations

from hypothesis import strategies as st

from profiler.profile.model import Losses, Process, Profile, Root, Sample, Thread
from symbolizers.frame import GENERATED, KERNEL, MARKER, NATIVE, Frame
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
CONTAINERS = st.just("") | ANY_TEXT
SAMPLES = st.builds(
    Sample,
    root=st.one_of(
        st.builds(
            Root,
            comm=COMMS,
            pid=st.integers(1, 1 << 22),
            processes=st.just(0),
            is_group=st.just(False),
            container=CONTAINERS,
        ),
        st.builds(
            Root,
            comm=COMMS,
            pid=st.just(0),
            processes=st.integers(1, 1 << 22),
            is_group=st.just(False),
            container=CONTAINERS,
        ),
    ),
    frames=st.lists(FRAMES, max_size=6).map(tuple),
    count=st.integers(1, 10**9),
    thread=st.none()
    | st.builds(Thread, comm=st.binary(max_size=16), tid=st.integers(1, 1 << 22), name=ANY_TEXT),
)

ODD_NAMES = (
    *("", " ", ";", "a;b 12", "</script>", "]]>", "&lt;", '"\\', "[gc]", "x_[k]", "%s\x00", "\n", "\udcff"),
    *("\ud83d", "\u202egnp.exe", "שלום", "x" * 10_240, "\x1b" * 10_240, "日本語" * 3500, "[unnamed]", "-h"),
)
ODD_TEXT = ANY_TEXT | st.sampled_from(ODD_NAMES)
_ALONE = {"is_group": st.just(False), "container": st.just("")}
_ROOTS = st.builds(Root, comm=COMMS, pid=st.integers(1, 4), processes=st.just(0), **_ALONE) | st.builds(
    Root, comm=COMMS, pid=st.just(0), processes=st.integers(1, 3), **_ALONE
)
_ODD_FRAMES = st.builds(
    Frame,
    kind=st.sampled_from((*KINDS, GENERATED)),
    name=ODD_TEXT,
    file=ODD_TEXT,
    line=st.integers(-1, 1 << 70),
)
_PROCESSES = st.builds(
    Process,
    pid=st.integers(1, 4),
    comm=COMMS,
    parent=st.integers(0, 4),
    uid=st.integers(0, 1 << 32),
    executable=ODD_TEXT,
    command=st.lists(ODD_TEXT, max_size=2).map(tuple),
    container=st.just("") | ODD_TEXT,
)
_THREADS = st.none() | st.builds(Thread, comm=COMMS, tid=st.integers(1, 4), name=ODD_TEXT)
_TIMES = st.lists(st.integers(0, 3000), min_size=1, max_size=5).map(lambda times: tuple(sorted(times)))


def _sample(
    root: Root,
    frames: list[Frame],
    counted: int | tuple[int, ...],
    thread: Thread | None,
    process: Process | None,
) -> Sample:
    if isinstance(counted, int):
        return Sample(root, tuple(frames), counted, thread, (), process)
    return Sample(root, tuple(frames), len(counted), thread, counted, process)


DETAILED_SAMPLES = st.builds(
    _sample,
    _ROOTS,
    st.lists(_ODD_FRAMES, max_size=5),
    _TIMES | st.integers(1, 10**6),
    _THREADS,
    st.none() | _PROCESSES,
)
"""Of few processes and threads, with odd names, with and without times."""


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


def oddly_named() -> Profile:
    """A process, a thread, a function and a file of each odd name, with one sample."""
    return profile_of(
        *(
            Sample(
                Root(name.encode("utf-8", "surrogatepass")[:15], 100 + index),
                (Frame("python", name, name, 1), Frame(NATIVE, name, name)),
                1,
                Thread(b"", 200 + index, name),
                (50 * index,),
                Process(100 + index, b"", executable=name, command=(name,), container=name),
            )
            for index, name in enumerate(ODD_NAMES)
        )
    )
