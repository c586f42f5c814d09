"""The recording inside a page: tables of texts, and columns of numbers (`html_columns` lays them out)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import count, pairwise
from operator import sub
from zlib import crc32

from profiler.export.html_columns import Column, packed
from profiler.export.html_facts import colours, facts, process_lines
from profiler.export.svg import LEGEND, NONE_RECORDED, NONE_SYMBOLIZED, SHADES
from profiler.export.text import (
    frame_text,
    printable,
    root_name,
    root_text,
    thread_text,
    title_text,
    warnings,
)
from profiler.profile.model import Process, Profile, Root, Sample, Thread
from symbolizers.frame import INLINED, NATIVE, Frame
from symbolizers.registry import LANGUAGES

_Run = tuple[Root, Process | None]
_Unit = tuple[_Run, Thread | None]


def pack(profile: Profile) -> bytes:
    """The compressed data of a page. Equal profiles give equal bytes."""
    stacks = _Stacks(profile.samples)
    units = _Units(profile)
    columns = (*stacks.columns(), *units.columns(), *_rows(profile.samples, stacks, units))
    tables = {"frames": stacks.texts, "kinds": _kinds(), **units.tables(), **_about(profile)}
    return packed(tables, columns)


class _Stacks:
    """The distinct frames, by text, and the distinct stacks of them.

    Stacks are sorted, so that each shares its first frames with the one before; three columns hold how many
    these are, how many frames follow, and which. Here a stack is bytes, four a frame, which are quick to sort
    and to compare.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        frames: dict[int, Frame] = {}
        for sample in samples:  # most frames are one object in many stacks, and an object is found faster
            frames.update(zip(map(id, sample.frames), sample.frames, strict=True))
        keys = {frame: (frame_text(frame), frame.kind) for frame in set(frames.values())}
        self._sorted = sorted(set(keys.values()))
        ranks = {key: rank for rank, key in enumerate(self._sorted)}
        ranks_of_frames = {frame: ranks[key] for frame, key in keys.items()}
        self._ranks = {address: ranks_of_frames[frame] for address, frame in frames.items()}
        self.texts = [text for text, _ in self._sorted]
        self.of_samples = [self._bytes(sample.frames) for sample in samples]
        self._distinct = sorted(set(self.of_samples))
        self.numbers = {stack: number for number, stack in enumerate(self._distinct)}

    def _bytes(self, frames: Sequence[Frame]) -> bytes:
        return array("I", map(self._ranks.__getitem__, map(id, frames))).tobytes()

    def columns(self) -> tuple[Column, ...]:
        numbers = {kind: number for number, kind in enumerate(LEGEND)}
        numbers[INLINED] = numbers[NATIVE]
        shaded = [numbers[kind] * SHADES + crc32(text.encode()) % SHADES for text, kind in self._sorted]
        size = array("I").itemsize
        shared = [common_prefix(*pair) // size for pair in pairwise([b"", *self._distinct])]
        tails = [stack[size * count :] for stack, count in zip(self._distinct, shared, strict=True)]
        return (
            Column("frameShades", shaded),
            Column("stackShared", shared),
            Column("stackMore", [len(tail) // size for tail in tails]),
            Column("stackFrames", array("I", b"".join(tails))),
        )


def common_prefix(one: bytes, other: bytes) -> int:
    """The length of what both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class _Units:
    """Programs, their processes, and the threads of these; a unit is a thread, or a process without one."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        found = {((sample.root, sample.process), sample.thread) for sample in profile.samples}
        runs = sorted({run for run, _ in found}, key=_run_order)
        self._runs = {run: number for number, run in enumerate(runs)}
        names = sorted({root_name(root) for root, _ in runs})
        self._programs = {name: number for number, name in enumerate(names)}
        # A process without threads has a unit of an empty text, the first one.
        texts = sorted({_thread_text(thread) for _, thread in found} | {""})
        self._threads = {text: number for number, text in enumerate(texts)}
        units = sorted(found, key=lambda unit: (self._runs[unit[0]], _thread_text(unit[1])))
        self._units = {unit: number for number, unit in enumerate(units)}

    def number(self, sample: Sample) -> int:
        return self._units[(sample.root, sample.process), sample.thread]

    def columns(self) -> tuple[Column, ...]:
        return (
            Column("processProgram", [self._programs[root_name(root)] for root, _ in self._runs]),
            Column("processCount", [root.processes or 1 for root, _ in self._runs]),
            Column("unitProcess", [self._runs[run] for run, _ in self._units]),
            Column("unitThread", [self._threads[_thread_text(thread)] for _, thread in self._units]),
        )

    def tables(self) -> dict[str, list[object]]:
        lines = process_lines(self._profile)
        rows = self._profile.losses.per_process
        lossy = {row.root for row in rows if any(row.dropped.values()) or any(row.partial.values())}
        return {
            "programs": list(self._programs),
            "processes": [
                {
                    "text": root_text(root),
                    "about": [*(_process_text(process) if process else []), *lines[root]],
                    "lossy": root in lossy,
                    "container": printable(process.container) if process else "",
                    "user": process.uid if process else None,
                }
                for root, process in self._runs
            ],
            "threads": list(self._threads),
        }


def _run_order(run: _Run) -> tuple[str, int, int, str]:
    root, process = run
    return root_name(root), root.pid, root.processes, repr(process)


def _thread_text(thread: Thread | None) -> str:
    return "" if thread is None else thread_text(thread)


def _rows(samples: Sequence[Sample], stacks: _Stacks, units: _Units) -> tuple[Column, ...]:
    """A row is a stack of a unit. Its times follow those of the row before, in ms from one to the next."""
    numbers = map(stacks.numbers.__getitem__, stacks.of_samples)
    rows = sorted(zip(map(units.number, samples), numbers, count(), strict=False))
    counts, timed, distances = [], [], array("Q")
    for _, _, index in rows:
        sample = samples[index]
        counts.append(sample.count)
        # Fewer times than samples would make some of them vanish in a span.
        times = sorted(sample.times_ms) if len(sample.times_ms) == sample.count else []
        timed.append(len(times))
        distances.extend(map(sub, times, [0, *times[:-1]]))
    return (
        Column("rowUnit", [unit for unit, _, _ in rows]),
        Column("rowStack", [stack for _, stack, _ in rows]),
        Column("rowCount", counts),
        Column("rowTimes", timed),
        Column("times", distances),
    )


def _process_text(process: Process) -> list[str]:
    command = " ".join(map(printable, process.command))
    return [
        f"{label}: {text}"
        for label, text in (
            ("command", command or printable(process.executable)),
            ("container", printable(process.container)),
            ("interprets", printable(process.interpreters)),
            ("user", str(process.uid)),
            ("parent", str(process.parent or "")),
        )
        if text
    ]


def _about(profile: Profile) -> dict[str, object]:
    losses = profile.losses
    return {
        "title": title_text(profile),
        "facts": facts(profile),
        "lossy": bool(losses.lost or losses.symbolized < losses.samples),
        "losses": [[root_text(root), *said] for root, said in process_lines(profile).items()],
        "warnings": warnings(losses),
        "notes": [printable(note) for note in profile.notes],
        "empty": NONE_SYMBOLIZED if losses.samples else NONE_RECORDED,
        "durationMs": round(1000 * profile.duration_s),
    }


def _kinds() -> list[dict[str, object]]:
    """Every kind of frame, processes first, with its colours in light and dark: those of the SVG."""
    found = colours("flamegraph.css")
    shades = {
        **found,
        **{each.name: [*each.palette.light, *each.palette.dark] for each in LANGUAGES},
    }
    return [
        {"title": title, "light": shades[kind][:SHADES], "dark": shades[kind][SHADES:]}
        for kind, title in LEGEND.items()
    ]
