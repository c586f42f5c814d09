"""Recordings for tests: written by the product's own writer, from samples that say what they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from profiler.profile.model import Losses, Process, Profile, Root, Thread
from profiler.profile.naming import with_names
from profiler.profile.slices import FrameRow, Slice
from profiler.profile.summary import FACT, summary_of, summary_text
from profiler.profile.writer import RecordingWriter, add_fact
from symbolizers.frame import Frame
from tests.support.export_samples import ANY_TEXT, COMMS, FRAMES

HZ = 100


@dataclass(frozen=True)
class Taken:
    """A sample: whose it is, its stack, root first, and when it was taken."""

    process: Process
    frames: tuple[Frame, ...]
    tid: int = 0
    """That of the main thread, if 0."""
    thread_comm: bytes = b""
    time_ms: int = 0
    cpu: int = 0
    weight: int = 1


def slice_of(samples: Iterable[Taken]) -> Slice:
    """The rows for these samples, as the first slice of a recording."""
    new = Slice()
    processes: dict[Process, int] = {}
    threads: dict[tuple[int, int], int] = {}
    functions: dict[Frame, int] = {}
    stacks: dict[tuple[Frame, ...], int] = {}
    for sample in samples:
        process = processes.setdefault(sample.process, len(processes) + 1)
        new.processes[process] = sample.process, 0, None
        tid = sample.tid or sample.process.pid
        thread = threads.setdefault((process, tid), len(threads) + 1)
        new.threads[thread] = process, tid, sample.thread_comm, ""
        for frame in sample.frames:
            if frame not in functions:
                functions[frame] = len(functions) + 1
                new.functions.append((frame, None))
                new.frames.append(FrameRow(functions[frame]))
        for depth, frame in enumerate(sample.frames):
            path = sample.frames[: depth + 1]
            if path not in stacks:
                stacks[path] = len(stacks) + 1
                new.stacks.append((stacks.get(path[:-1]), functions[frame]))
        new.samples.append((sample.time_ms, thread, sample.cpu, stacks.get(sample.frames, 0), sample.weight))
    return new


def write_recording(path: Path, samples: Iterable[Taken]) -> Path:
    """A whole recording of these samples, none of them lost."""
    samples = tuple(samples)
    writer = RecordingWriter(str(path))
    writer.append(slice_of(samples))
    total = sum(sample.weight for sample in samples)
    writer.finish(
        Profile(
            samples=(),
            losses=Losses(total, total, {}, 0),
            host="vm",
            started_at="2026-11-29T12:00:00+00:00",
            duration_s=max((sample.time_ms for sample in samples), default=0) / 1000,
            frequency_hz=HZ,
            cpus=2,
            command="whole system",
        )
    )
    writer.close()
    return path


PROCESSES = st.builds(
    Process,
    pid=st.integers(1, 1 << 22 - 1),
    comm=COMMS,
    parent=st.integers(0, 1 << 22 - 1),
    uid=st.integers(0, (1 << 32) - 1),
    executable=ANY_TEXT,
    command=st.lists(ANY_TEXT, max_size=3).map(tuple),
    container=ANY_TEXT,
    interpreters=ANY_TEXT,
)
TAKEN = st.builds(
    Taken,
    process=PROCESSES,
    frames=st.lists(FRAMES, max_size=5).map(tuple),
    tid=st.integers(1, 1 << 22 - 1),
    thread_comm=COMMS,
    time_ms=st.integers(0, 1 << 40 - 1),
    cpu=st.integers(0, 1 << 16 - 1),
    weight=st.integers(1, 1000),
)
"""Any that a hostile target could cause."""


def write_profile(path: Path, profile: Profile) -> Path:
    """A recording of a profile whose samples say when they were taken, with its summary."""
    processes: dict[Root, int] = {}
    threads: dict[tuple[int, Thread], int] = {}
    frames: dict[Frame, int] = {}
    stacks: dict[tuple[int | None, int], int] = {}
    new = Slice()
    for sample in profile.samples:
        assert sample.thread is not None
        process = processes.setdefault(sample.root, len(processes) + 1)
        thread = threads.setdefault((process, sample.thread), len(threads) + 1)
        stack: int | None = None
        for frame in sample.frames:
            node = stack, frames.setdefault(frame, len(frames) + 1)
            stack = stacks.setdefault(node, len(stacks) + 1)
        new.samples.extend((time_ms, thread, 0, stack or 0, 1) for time_ms in sample.times_ms)
    new.samples.sort()
    for root, number in processes.items():
        new.processes[number] = Process(root.pid, root.comm), 0, None
    for (process, known), number in threads.items():
        new.threads[number] = process, known.tid, known.comm, known.name
    new.functions.extend((frame, None) for frame in frames)
    new.frames.extend(map(FrameRow, frames.values()))
    new.stacks.extend(stacks)
    writer = RecordingWriter(str(path))
    writer.append(new)
    writer.finish(profile)
    writer.close()
    add_fact(str(path), FACT, summary_text(summary_of(with_names(profile.samples))))
    return path
