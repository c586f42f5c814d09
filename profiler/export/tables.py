"""What the formats that are made of tables share: numbered rows, and the samples thread by thread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from gzip import GzipFile
from typing import BinaryIO, Generic, NamedTuple, TypeVar

from msgspec import Struct

from profiler.export.text import line_number, losses_text, printable, root_text, thread_text, warnings
from profiler.profile.model import Process, Profile, Root, Sample, Thread
from profiler.profile.places import Place
from symbolizers.frame import INLINED, NATIVE, Frame

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)
N = TypeVar("N")

MAX_NS = 1 << 62
"""No time is later, nor is any longer: the sum of two has a place in all formats."""
_LEVEL = 4
"""Of compression. 6 makes files 4 % smaller, and takes three times as long."""


class Table(dict[K, N], Generic[K, V, N]):
    """Gives each key the number of its row, as `encode` writes it; keys that `show` the same share a row."""

    def __init__(self, show: Callable[[K], V], encode: Callable[[int], N], first: int = 0) -> None:
        """The first row has the number `first`."""
        super().__init__()
        self.rows: dict[V, int] = {}
        """The numbers of the rows, in ascending order."""
        self._show, self._encode, self._first = show, encode, first

    def __missing__(self, key: K) -> N:
        number = self.rows.setdefault(self._show(key), self._first + len(self.rows))
        encoded = self[key] = self._encode(number)
        return encoded


class Module(NamedTuple):
    """What native code is mapped from: a file, by its name, and its build id, in hexadecimal or empty."""

    name: str
    build_id: str = ""


def first_line(frame: Frame, place: Place) -> int:
    """Where its function begins; 0 if that is not known: a native frame has the line that runs, or none."""
    return place.first_line or (0 if frame.kind in (NATIVE, INLINED) else line_number(frame))


class Lane(Struct, frozen=True):
    """The samples of one thread, or of one process where threads are not told apart."""

    root: Root
    thread: Thread | None
    process: Process | None
    samples: Sequence[Sample]
    count: int

    @property
    def text(self) -> str:
        """The process and, if it is known, the thread."""
        return " · ".join((root_text(self.root), *([thread_text(self.thread)] if self.thread else [])))


def lanes(profile: Profile) -> list[Lane]:
    """The threads of each process, those with most samples first, of processes and of their threads.

    Processes and threads of equal text are one.
    """
    texts: Table[Root, str, int] = Table(root_text, int)
    threads: Table[Thread | None, str, int] = Table(lambda thread: thread_text(thread) if thread else "", int)
    found: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
    for sample in profile.samples:
        found[texts[sample.root], threads[sample.thread]].append(sample)
    counts = {key: sum(sample.count for sample in samples) for key, samples in found.items()}
    totals: Counter[int] = Counter()
    for (root, _), count in counts.items():
        totals[root] += count
    order = sorted(found, key=lambda key: (-totals[key[0]], key[0], -counts[key], key[1]))
    return [_lane(found[key], counts[key]) for key in order]


def _lane(samples: Sequence[Sample], count: int) -> Lane:
    process = next((sample.process for sample in samples if sample.process is not None), None)
    return Lane(samples[0].root, samples[0].thread, process, samples, count)


def is_timed(sample: Sample) -> bool:
    """Whether it is known of each of these samples when it was taken."""
    return len(sample.times_ms) == sample.count


def period_ns(profile: Profile) -> int:
    """The CPU time that a sample stands for."""
    return round(1e9 / profile.frequency_hz)


def started_ns(profile: Profile) -> int:
    """The start of the recording since 1970, in ns; 0 where it is not known."""
    try:
        started = int(datetime.fromisoformat(profile.started_at).timestamp()) * 10**9
    except (ValueError, OverflowError, OSError):
        return 0
    return started if 0 < started < MAX_NS else 0


def duration_ns(profile: Profile) -> int:
    """How long the recording took."""
    return min(round(profile.duration_s * 1e9), MAX_NS)


def facts(profile: Profile) -> list[tuple[str, str]]:
    """What a person should know of the recording, one line each: what the line is about, and its text."""
    cpus = "one CPU" if profile.cpus == 1 else f"each of {profile.cpus:,} CPUs"
    return [
        ("recorded", f"{printable(profile.started_at)}, {profile.duration_s:,.1f} s"),
        ("sampled", f"{profile.frequency_hz:,} samples a second on {cpus}, by {printable(profile.event)}"),
        ("losses", losses_text(profile.losses)),
        *(("warning", printable(warning)) for warning in warnings(profile.losses)),
        *(("note", printable(note)) for note in profile.notes),
    ]


def packed_into(stream: BinaryIO) -> GzipFile:
    """What is written to the result goes to `stream`, compressed; the same contents give the same bytes."""
    return GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=stream, mtime=0)
