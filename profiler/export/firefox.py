"""Firefox Profiler's processed profile: gzipped JSON, a track for each thread, sample times and categories.

A frame's category is its kind. The version is the first one whose tables are shared by all threads; every
later Firefox Profiler upgrades a file of it when it opens one. What each field holds is said in its
``src/types/profile.ts``, and what has changed since in ``docs-developer/CHANGELOG-formats.md``.
https://github.com/firefox-devtools/profiler/blob/main/docs-developer/processed-profile-format.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, BinaryIO, Final

from msgspec.json import encode

from profiler.export.tables import (
    Lane,
    Table,
    facts,
    is_timed,
    lanes,
    packed_into,
    started_ns,
)
from profiler.export.text import (
    file_text,
    function_name,
    line_number,
    root_name,
    root_text,
    thread_name,
    title_text,
)
from profiler.profile.model import Profile, Root
from symbolizers.frame import GENERATED, INLINED, KERNEL, MARKER, NATIVE, Frame
from symbolizers.registry import LANGUAGES

VERSION: Final = 60
_GECKO_VERSION = 32
"""Of the format that Firefox itself writes: the one of that time. Nothing reads it in a processed profile."""
_LIBRARY = 1
"""The type of a resource that is a native module."""

# The colours are names that Firefox Profiler knows. Grey is what it takes for frames of no known kind.
_COLOURS = ("purple", "yellow", "magenta", "lightblue", "brown", "red")
CATEGORIES: Final[Mapping[str, tuple[str, str]]] = {
    "": ("Other", "grey"),
    **{
        language.name: (language.title, _COLOURS[index % len(_COLOURS)])
        for index, language in enumerate(LANGUAGES)
    },
    GENERATED: ("generated", "green"),
    NATIVE: ("native", "blue"),
    KERNEL: ("kernel", "orange"),
    MARKER: ("said by pidflame", "darkgrey"),
}
"""The title and the colour of each kind of frame. Their order is that of the file's categories."""
_NUMBER_OF_KIND = {kind: index for index, kind in enumerate(CATEGORIES)}
_NUMBER_OF_KIND[INLINED] = _NUMBER_OF_KIND[NATIVE]

_NOBODY = Lane(Root(b"no samples", 0), None, None, (), 0)
"""Firefox Profiler opens no file without a thread."""
Shown = tuple[str, str, int, str]
"""A function: name, file, line and kind."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the document, in UTF-8, compressed."""
    with packed_into(stream) as packer:
        for part in _document(profile):
            packer.write(part)


def _document(profile: Profile) -> Iterator[bytes]:
    """Thread by thread, so that the largest recording is not held as text."""
    found = lanes(profile) or [_NOBODY]
    tables, pids = _Tables(found), _Pids()
    yield b'{"meta":%b,"libs":[],"shared":%b,"threads":[' % (encode(_meta(profile)), encode(tables.shared()))
    for index, (lane, stacks) in enumerate(zip(found, tables.by_lane, strict=True)):
        samples = _samples(lane, stacks, tables.size, round(1e6 / profile.frequency_hz))
        yield b"," * (index > 0) + encode({**_thread(lane, pids.pid(lane)), "samples": samples})
    yield b"]}\n"


def _meta(profile: Profile) -> dict[str, Any]:
    entries = [{"label": about, "format": "string", "value": fact} for about, fact in facts(profile)]
    return {
        "product": title_text(profile),
        "importedFrom": "pidflame",
        "version": _GECKO_VERSION,
        "preprocessedProfileVersion": VERSION,
        "processType": 0,
        "stackwalk": 1,
        "interval": 1000 / profile.frequency_hz,
        "startTime": started_ns(profile) // 10**6,
        "profilingStartTime": 0,
        "profilingEndTime": _end_ms(profile),
        "logicalCPUs": profile.cpus,
        "categories": [
            {"name": title, "color": colour, "subcategories": ["Other"]}
            for title, colour in CATEGORIES.values()
        ],
        "markerSchema": [],
        "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs"},
        "symbolicated": True,
        "symbolicationNotSupported": True,
        "usesOnlyOneStackType": True,
        "sourceCodeIsNotOnSearchfox": True,
        "keepProfileThreadOrder": True,
        "initialSelectedThreads": [0],
        "extra": [{"label": "Recording", "entries": entries}],
    }


def _end_ms(profile: Profile) -> float:
    """The end of the recording, which is after every sample: later ones would not be shown."""
    last_ms = max((sample.times_ms[-1] for sample in profile.samples if sample.times_ms), default=0)
    return max(profile.duration_s * 1000, last_ms + 1)


class _Pids:
    """What tells processes apart: the pid, with a number behind it if two processes had the same."""

    def __init__(self) -> None:
        self._pids: dict[str, str] = {}
        self._used: Counter[int] = Counter()

    def pid(self, lane: Lane) -> str:
        text, pid = root_text(lane.root), lane.root.pid
        if text not in self._pids:
            self._used[pid] += 1
            self._pids[text] = f"{pid}-{self._used[pid]}" if self._used[pid] > 1 else str(pid)
        return self._pids[text]


class _Tables:
    """The tables that all threads share. A stack is its last frame, and the number of the stack below it."""

    def __init__(self, found: Sequence[Lane]) -> None:
        self._functions: Table[Frame, Shown, int] = Table(_shown, int)
        self._frames: list[int] = []
        self._below: list[int | None] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        stacks = [self._stacks(lane) for lane in found]
        self._add(set(chain.from_iterable(stacks)))
        self.by_lane = [[self._numbers[stack] for stack in each] for each in stacks]
        """The number of the stack of each sample, lane by lane."""

    @property
    def size(self) -> int:
        """How many stacks there are."""
        return len(self._frames)

    def _stacks(self, lane: Lane) -> list[tuple[int, ...]]:
        """A stack without a frame would not be counted: it is the process."""
        process = Frame("", root_text(lane.root))
        found = (sample.frames or (process,) for sample in lane.samples)
        return [tuple(map(self._functions.__getitem__, frames)) for frames in found]

    def _add(self, stacks: Iterable[tuple[int, ...]]) -> None:
        """Adds rows for `stacks`. They are sorted: of each only what the one before has not is new."""
        path: list[int] = []
        before: tuple[int, ...] = ()
        for stack in sorted(stacks):
            pairs = enumerate(zip(before, stack, strict=False))
            shared = next((at for at, (one, other) in pairs if one != other), len(before))
            del path[shared:]
            new = range(self.size, self.size + len(stack) - shared)
            self._below.append(path[-1] if path else None)
            self._below.extend(new[:-1])
            self._frames.extend(stack[shared:])
            path.extend(new)
            self._numbers[stack] = path[-1]
            before = stack

    def shared(self) -> dict[str, Any]:
        """``profile.shared``: each table as columns, with its length."""
        strings: Table[str, str, int] = Table(str, int)
        modules: Table[str, str, int] = Table(str, int)
        sources: Table[str, str, int] = Table(str, int)
        shown = list(self._functions.rows)
        size = len(shown)
        lines = [line or None for _, _, line, _ in shown]
        functions = {
            "name": [strings[name] for name, _, _, _ in shown],
            "isJS": [False] * size,
            "relevantForJS": [False] * size,
            "resource": [
                modules[file] if file and _is_of_module(line, kind) else -1 for _, file, line, kind in shown
            ],
            "source": [
                sources[file] if file and not _is_of_module(line, kind) else None
                for _, file, line, kind in shown
            ],
            "lineNumber": lines,
            "columnNumber": [None] * size,
            "length": size,
        }
        frames = {
            "address": [-1] * size,
            "inlineDepth": [0] * size,
            "category": [_NUMBER_OF_KIND.get(kind, 0) for _, _, _, kind in shown],
            "subcategory": [0] * size,
            "func": list(range(size)),
            "nativeSymbol": [None] * size,
            "innerWindowID": [0] * size,
            "line": lines,
            "column": [None] * size,
            "length": size,
        }
        return {
            "stackTable": {
                "frame": self._frames,
                "prefix": self._below,
                "length": self.size,
            },
            "frameTable": frames,
            "funcTable": functions,
            "resourceTable": _resources([strings[module] for module in modules.rows]),
            "nativeSymbols": _empty("libIndex", "address", "name", "functionSize"),
            "sources": _sources([strings[source] for source in sources.rows]),
            "stringArray": list(strings.rows),
        }


def _resources(names: list[int]) -> dict[str, Any]:
    size = len(names)
    nothing = [None] * size
    return {"lib": nothing, "name": names, "host": nothing, "type": [_LIBRARY] * size, "length": size}


def _sources(names: list[int]) -> dict[str, Any]:
    return {"uuid": [None] * len(names), "filename": names, "length": len(names)}


def _empty(*columns: str) -> dict[str, Any]:
    return {**{column: [] for column in columns}, "length": 0}


def _is_of_module(line: int, kind: str) -> bool:
    """Whether the file of such a function is a module, see `Frame.file`."""
    return kind == NATIVE and not line


def _shown(frame: Frame) -> Shown:
    return function_name(frame), file_text(frame), line_number(frame), frame.kind


def _thread(lane: Lane, pid: str) -> dict[str, Any]:
    """All of a thread but its samples."""
    thread = lane.thread
    return {
        "name": root_name(lane.root) if thread is None else thread_name(thread),
        "processName": root_text(lane.root) if lane.root.processes else root_name(lane.root),
        "processType": "default",
        "isMainThread": thread is None or thread.tid == lane.root.pid,
        "pid": pid,
        "tid": pid if thread is None else thread.tid,
        "processStartupTime": 0,
        "processShutdownTime": None,
        "registerTime": 0,
        "unregisterTime": None,
        "pausedRanges": [],
        "markers": _empty("data", "name", "startTime", "endTime", "phase", "category"),
    }


def _samples(lane: Lane, stacks: Sequence[int], size: int, period_us: int) -> dict[str, Any]:
    """A row for each moment; where times are not known, one at the start for each of the `size` stacks.

    From the CPU time that has passed since the row before the page draws how busy the thread was.
    """
    timed = all(map(is_timed, lane.samples))
    rows: Counter[int] = Counter()
    for sample, stack in zip(lane.samples, stacks, strict=True):
        if timed:
            rows.update([time * size + stack for time in sample.times_ms])
        else:
            rows[stack] += sample.count
    ordered = sorted(rows)
    weights = [rows[row] for row in ordered]
    times = [row // size for row in ordered]
    return {
        "stack": [row % size for row in ordered],
        "timeDeltas": [later - earlier for earlier, later in pairwise([0, *times])],
        "weight": None if timed and len(weights) == lane.count else weights,
        "weightType": "samples",
        **({"threadCPUDelta": [weight * period_us for weight in weights]} if timed else {}),
        "length": len(ordered),
    }
