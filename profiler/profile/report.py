"""Puts the samples of a recording together as a view wants them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from msgspec import Struct, field

from profiler.profile.frames import with_line
from profiler.profile.model import Process, Root, Sample, Thread
from profiler.profile.places import Place, by_frame
from profiler.profile.rows import BadRow, Rows
from profiler.profile.schema import DROPPED
from profiler.profile.view import Frames, Group, View, root_of
from profiler.profile.work import MARKERS, marker_of, once
from symbolizers.frame import Frame

_MOST_SHOWN_FRAMES = 100_000_000
_MOST_TIMES = 100_000_000
_INNER = -1
"""The number of all frames that are hidden."""
_NOBODY = Thread(b"", 0)


class _Key(NamedTuple):
    root: Root
    user: int
    """Of processes that count together: they are of one user."""
    thread: int
    """0 unless threads are told apart."""
    stack: int


class _Kept(Struct):
    process: Process | None
    count: int = 0
    times_ms: list[int] = field(default_factory=list)


class _Stacks:
    """What is shown of each stack: a number, equal for equal frames."""

    def __init__(self, rows: Rows, view: View) -> None:
        self._rows = rows
        frames = [*_frames(rows, view)]
        first: dict[Frame, int] = {}
        same = [at if at in rows.inlined else first.setdefault(frame, at) for at, frame in enumerate(frames)]
        self._inlined = {at: [same[each] for each in chained] for at, chained in rows.inlined.items()}
        for at in () if view.native else rows.inner:
            same[at] = _INNER
        for at, marker in () if view.native else _work_of(rows).items():
            same[at] = first.setdefault(marker, len(frames))
            frames += [marker] * (same[at] == len(frames))
        self._markers = {first[marker] for marker in MARKERS if marker in first}
        self._ends = [same[end] for end in rows.ends]
        hidden = () if view.keep_dropped else DROPPED.values()
        self._hidden = {first[frame] for frame in hidden if frame in first}
        self._all_frames = frames
        self._frames = Frames(view, frames)
        self._shown: dict[int, int | None] = {}
        self._numbers: dict[tuple[int, ...], int] = {}
        self._room = _MOST_SHOWN_FRAMES

    def number(self, stack: int) -> int | None:
        """None if it does not count."""
        if stack not in self._shown:
            self._shown[stack] = self._find(stack)
        return self._shown[stack]

    def _find(self, stack: int) -> int | None:
        frames = self._rows.stack(stack, self._ends)
        if self._inlined:
            frames = [*chain.from_iterable(self._inlined.get(each, (each,)) for each in frames)]
        self._room -= len(frames)
        if self._room < 0:
            raise BadRow("its stacks are too long in all")
        if _INNER in frames:
            frames = [frame for frame in frames if frame != _INNER]
        frames = [*once(frames, self._markers)] if self._markers else frames
        if frames and frames[-1] in self._hidden:
            return None
        shown = self._frames.show(frames)
        return None if shown is None else self._numbers.setdefault(tuple(shown), len(self._numbers))

    def all(self) -> list[tuple[Frame, ...]]:
        """By number."""
        return [tuple(map(self._all_frames.__getitem__, stack)) for stack in self._numbers]


def samples_of(file: sqlite3.Connection, rows: Rows, view: View) -> tuple[Sample, ...]:
    """The samples that `view` takes, equal ones as one. Raises `BadRow` and `sqlite3.Error`."""
    stacks = _Stacks(rows, view)
    kept: dict[_Key, _Kept] = {}
    processes: dict[tuple[Root, int], set[int]] = _merged(rows, view) if view.group is Group.PROCESS else {}
    times = 0
    roots = [_root(rows, view, each) for each in range(len(rows.threads))]
    for thread, stack, time_ms, count in _counted(file, view):
        shown = roots[thread]
        number = stacks.number(stack) if shown is not None else None
        if shown is None or number is None:
            continue
        root, user, process = shown
        key = _Key(root, user, thread if view.threads else 0, number)
        sample = kept.get(key)
        if sample is None:
            sample = kept[key] = _Kept(process)
        if not root.pid:
            processes.setdefault((root, user), set()).add(rows.threads[thread][0])
        sample.count += count
        if view.times:
            times += count
            if times > _MOST_TIMES:  # a row may stand for any number of samples
                raise BadRow("it has too many samples to tell when each was taken")
            sample.times_ms += [time_ms] * count
    frames = stacks.all()
    return tuple(
        Sample(
            root=key.root
            if key.root.pid
            else key.root._replace(processes=len(processes[key.root, key.user])),
            frames=frames[key.stack],
            count=sample.count,
            thread=rows.threads[key.thread][1] if key.thread else None,
            times_ms=tuple(sorted(sample.times_ms)),
            process=sample.process,
        )
        for key, sample in kept.items()
    )


def _work_of(rows: Rows) -> dict[int, Frame]:
    """The frames that show as a marker, by number."""
    functions = (rows.inlined.get(at, (at,))[0] for at in range(len(rows.frames)))
    markers = ((at, marker_of(rows.frames[function])) for at, function in enumerate(functions))
    return {at: marker for at, marker in markers if marker is not None}


def _frames(rows: Rows, view: View) -> list[Frame]:
    """As they show, by number."""
    return [*map(with_line, rows.frames, rows.lines)] if view.lines else rows.frames


def places_of(file: sqlite3.Connection, rows: Rows, view: View) -> dict[Frame, Place]:
    """Where the frames are that `view` shows. Raises `sqlite3.Error`."""
    found = file.execute("SELECT address, build_id FROM frame ORDER BY id")
    shown = _frames(rows, view)
    # An address with inlined functions is shown as that of the function that they are in.
    numbered = ((rows.inlined.get(at, (at,))[0], *place) for at, place in enumerate(found, 1))
    return by_frame(
        (frame, Place(defined.line if frame != defined else 0, address % (1 << 64), build_id))
        for frame, defined, address, build_id in (
            (shown[at], rows.frames[at], address, build_id) for at, address, build_id in numbered
        )
        if address or frame != defined
    )


def _merged(rows: Rows, view: View) -> dict[tuple[Root, int], set[int]]:
    """The processes that count together, whether their samples do or not."""
    found: dict[tuple[Root, int], set[int]] = {}
    for at, (process, merged) in enumerate(rows.processes):
        if merged is not None:
            found.setdefault((root_of(view, process, _NOBODY, merged), process.uid), set()).add(at)
    return found


def _root(rows: Rows, view: View, number: int) -> tuple[Root, int, Process | None] | None:
    """Of a thread's samples: the first box, its user if it is of several processes, or else the process.

    None if they don't count.
    """
    at, thread = rows.threads[number]
    process, merged = rows.processes[at]
    if not (view.takes_process(process) and view.takes_thread(thread)):
        return None
    root = root_of(view, process, thread, merged)
    if view.group is not Group.PROCESS:
        return root, -1, None
    return root, process.uid if merged is not None else -1, process if merged is None else None


def _counted(file: sqlite3.Connection, view: View) -> Iterator[tuple[int, int, int, int]]:
    """Thread, stack, time and number of samples within the time that is shown."""
    until_ms = 1 << 62 if view.until_s is None else round(view.until_s * 1000)
    by = "thread, stack, time_ms" if view.times else "thread, stack"
    query = (
        f"SELECT thread, stack, time_ms, sum(weight) FROM sample WHERE time_ms >= ? AND time_ms < ?"
        f" GROUP BY {by}"
    )
    yield from file.execute(query, (round(view.since_s * 1000), until_ms))
