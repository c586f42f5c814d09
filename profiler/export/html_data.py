"""The recording inside a page: tables of texts, and columns of numbers that the page reads as arrays.

Layout before gzip: the length of the head (u32), the head (JSON, UTF-8), the columns. All integers are little
endian. A column of n numbers of w bytes is w planes of n bytes, the lowest bytes first: the upper planes are
nearly all zeros, which gzip makes short and fast. ``columns`` in the head names them in order, with w and n.
"""

from __future__ import annotations

import gzip
import json
import re
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, count, pairwise
from operator import sub
from zlib import crc32

from profiler.export.svg import LEGEND, NONE_RECORDED, NONE_SYMBOLIZED, SHADES
from profiler.export.text import (
    counted_text,
    frame_text,
    losses_text,
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

GZIP_LEVEL = 6
_TYPE_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_RULE = re.compile(r"\.([a-z]+)[0-9] rect \{ fill: (#[0-9a-f]{6}); \}")

_Run = tuple[Root, Process | None]
_Unit = tuple[_Run, Thread | None]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    values: Sequence[int]

    def width(self) -> int:
        """The bytes of each number."""
        most = max(self.values, default=0)
        return next(width for width in _TYPE_CODES if most < 1 << (8 * width))

    def planes(self) -> Iterable[bytes]:
        width = self.width()
        numbers = array(_TYPE_CODES[width], self.values)
        if struct.pack("=H", 1) != struct.pack("<H", 1):
            numbers.byteswap()
        data = numbers.tobytes()
        return (data[plane::width] for plane in range(width))


def pack(profile: Profile) -> bytes:
    """The compressed data of a page. Equal profiles give equal bytes."""
    stacks = _Stacks(profile.samples)
    units = _Units(profile)
    columns = (*stacks.columns(), *units.columns(), *_rows(profile.samples, stacks, units))
    head = {
        "columns": [[column.name, column.width(), len(column.values)] for column in columns],
        "frames": stacks.texts,
        "kinds": _kinds(),
        **units.tables(),
        **_about(profile),
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    planes = chain.from_iterable(column.planes() for column in columns)
    return gzip.compress(b"".join((struct.pack("<I", len(text)), text, *planes)), GZIP_LEVEL, mtime=0)


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

    def columns(self) -> tuple[_Column, ...]:
        numbers = {kind: number for number, kind in enumerate(LEGEND)}
        numbers[INLINED] = numbers[NATIVE]
        shaded = [numbers[kind] * SHADES + crc32(text.encode()) % SHADES for text, kind in self._sorted]
        size = array("I").itemsize
        shared = [common_prefix(*pair) // size for pair in pairwise([b"", *self._distinct])]
        tails = [stack[size * count :] for stack, count in zip(self._distinct, shared, strict=True)]
        return (
            _Column("frameShades", shaded),
            _Column("stackShared", shared),
            _Column("stackMore", [len(tail) // size for tail in tails]),
            _Column("stackFrames", array("I", b"".join(tails))),
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

    def columns(self) -> tuple[_Column, ...]:
        return (
            _Column("processProgram", [self._programs[root_name(root)] for root, _ in self._runs]),
            _Column("processCount", [root.processes or 1 for root, _ in self._runs]),
            _Column("unitProcess", [self._runs[run] for run, _ in self._units]),
            _Column("unitThread", [self._threads[_thread_text(thread)] for _, thread in self._units]),
        )

    def tables(self) -> dict[str, list[object]]:
        lines = _process_lines(self._profile)
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


def _rows(samples: Sequence[Sample], stacks: _Stacks, units: _Units) -> tuple[_Column, ...]:
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
        _Column("rowUnit", [unit for unit, _, _ in rows]),
        _Column("rowStack", [stack for _, stack, _ in rows]),
        _Column("rowCount", counts),
        _Column("rowTimes", timed),
        _Column("times", distances),
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


def _process_lines(profile: Profile) -> Mapping[Root, list[str]]:
    """What is to be said about the losses of each process."""
    lines: defaultdict[Root, list[str]] = defaultdict(list)
    for row in profile.losses.per_process:
        for counts, what in ((row.partial, "partial"), (row.dropped, "dropped")):
            if any(counts.values()):
                lines[row.root].append(counted_text(counts, what))
        if row.note:
            lines[row.root].append(printable(row.note))
    return lines


def _about(profile: Profile) -> dict[str, object]:
    losses = profile.losses
    facts = (
        ("recorded", printable(profile.command) or "CPU profile"),
        ("host", printable(profile.host) or "unknown"),
        ("started", printable(profile.started_at).replace("T", " ", 1)),
        ("for", f"{profile.duration_s:,.1f} s at {profile.frequency_hz:,} Hz"),
        ("CPUs", f"{profile.cpus:,}"),
        ("event", printable(profile.event)),
        ("samples", losses_text(losses)),
        ("pidflame itself", f"{profile.profiler_cpu_s:,.1f} s of CPU time"),
    )
    lines = _process_lines(profile)
    return {
        "title": title_text(profile),
        "facts": facts,
        "lossy": bool(losses.lost or losses.symbolized < losses.samples),
        "losses": [[root_text(root), *said] for root, said in lines.items()],
        "warnings": warnings(losses),
        "notes": [printable(note) for note in profile.notes],
        "empty": NONE_SYMBOLIZED if losses.samples else NONE_RECORDED,
        "durationMs": round(1000 * profile.duration_s),
    }


def _kinds() -> list[dict[str, object]]:
    """Every kind of frame, processes first, with its colours in light and dark: those of the SVG."""
    sheet = files("profiler.export").joinpath("flamegraph.css").read_text(encoding="utf-8")
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, colour in _RULE.findall(sheet):
        found[name].append(colour)
    for language in LANGUAGES:
        found[language.name] += [*language.palette.light, *language.palette.dark]
    return [
        {"title": title, "light": colours[:SHADES], "dark": colours[SHADES:]}
        for title, colours in ((title, found[kind]) for kind, title in LEGEND.items())
    ]
