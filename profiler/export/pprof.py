"""pprof's format: a gzipped ``perftools.profiles.Profile``, as ``go tool pprof`` and many services read it.

Each sample has its count and its CPU time. Process and thread are labels: ``-tagroot=process,pid`` puts them
below the stacks. What kind of code a frame is can be told by its name (``_[k]``) and its mapping.
https://github.com/google/pprof/blob/main/proto/profile.proto
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from profiler.export.protobuf import message, number, packed, text, varint
from profiler.export.tables import (
    Lane,
    Table,
    duration_ns,
    facts,
    lanes,
    packed_into,
    period_ns,
    started_ns,
)
from profiler.export.text import (
    file_text,
    is_of_module,
    line_number,
    marked_name,
    printable,
    root_name,
    thread_name,
    title_text,
)
from profiler.profile.model import Profile
from symbolizers.frame import KERNEL, Frame

# Fields of Profile, and of the messages in it.
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME_NANOS, _DURATION_NANOS, _PERIOD_TYPE, _PERIOD, _COMMENT, _DEFAULT_SAMPLE_TYPE = 9, 10, 11, 12, 13, 14
_SAMPLE_LOCATION, _SAMPLE_VALUE, _SAMPLE_LABEL = 1, 2, 3
_LABEL_KEY, _LABEL_TEXT, _LABEL_NUMBER = 1, 2, 3
_ID = 1
_MAPPING_FILE, _MAPPING_FLAGS = 5, (7, 8, 9)
"""The flags say that functions, files and lines are known, so that nobody looks for them in the file."""
_LOCATION_MAPPING, _LOCATION_LINE = 2, 4
_LINE_FUNCTION, _LINE_NUMBER = 1, 2
_FUNCTION_NAME, _FUNCTION_FILE = 2, 4

_KERNEL_MAPPING = "[kernel.kallsyms]"
Shown = tuple[str, str, int, str]
"""A location: name, file, line, and what it is mapped from."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the message, compressed."""
    with packed_into(stream) as packer:
        for part in _Writer(profile).parts():
            packer.write(part)


class _Writer:
    """The tables of one file. Number 0 stands for none in each, and is the empty text among the strings."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._strings: Table[str, str, int] = Table(str, int)
        self._locations: Table[Frame, Shown, bytes] = Table(_shown, varint, first=1)
        self._functions: Table[tuple[str, str], tuple[str, str], int] = Table(lambda pair: pair, int, first=1)
        self._mappings: Table[str, str, int] = Table(str, int, first=1)

    def parts(self) -> Iterator[bytes]:
        """The fields of the message, which is all of them together."""
        # Readers call the recording by the first mapping's file.
        self._strings[""], self._mappings[title_text(self._profile)]
        yield from self._head()
        for lane in lanes(self._profile):
            yield from self._samples(lane)
        for (name, file, line, mapping), row in self._locations.rows.items():
            place = message(
                _LOCATION_LINE,
                number(_LINE_FUNCTION, self._functions[name, file]),
                number(_LINE_NUMBER, line),
            )
            where = number(_LOCATION_MAPPING, self._mappings[mapping]) if mapping else b""
            yield message(_LOCATION, number(_ID, row), where, place)
        for (name, file), row in self._functions.rows.items():
            # Without a name of the system's, which Go would demangle: it cuts what stands in <>.
            said = number(_FUNCTION_NAME, self._strings[name]), number(_FUNCTION_FILE, self._strings[file])
            yield message(_FUNCTION, number(_ID, row), *said)
        for mapping, row in self._mappings.rows.items():
            known = b"".join(number(flag, 1) for flag in _MAPPING_FLAGS)
            yield message(_MAPPING, number(_ID, row), number(_MAPPING_FILE, self._strings[mapping]), known)
        for each in self._strings.rows:
            yield text(_STRING, each)

    def _head(self) -> Iterator[bytes]:
        profile = self._profile
        yield message(_SAMPLE_TYPE, *self._type("samples", "count"))
        yield message(_SAMPLE_TYPE, *self._type("cpu", "nanoseconds"))
        yield number(_DEFAULT_SAMPLE_TYPE, self._strings["cpu"])
        yield message(_PERIOD_TYPE, *self._type("cpu", "nanoseconds"))
        yield number(_PERIOD, period_ns(profile))
        yield number(_TIME_NANOS, started_ns(profile))
        yield number(_DURATION_NANOS, duration_ns(profile))
        comments = [title_text(profile), *(f"{about}: {fact}" for about, fact in facts(profile))]
        yield packed(_COMMENT, (varint(self._strings[comment]) for comment in comments))

    def _type(self, name: str, unit: str) -> tuple[bytes, bytes]:
        return number(1, self._strings[name]), number(2, self._strings[unit])

    def _samples(self, lane: Lane) -> Iterator[bytes]:
        labels, period = self._labels(lane), period_ns(self._profile)
        counts: Counter[bytes] = Counter()
        for sample in lane.samples:
            # The leaf comes first.
            counts[b"".join(map(self._locations.__getitem__, reversed(sample.frames)))] += sample.count
        for stack, count in counts.items():
            values = (varint(count), varint(count * period))
            yield message(_SAMPLE, packed(_SAMPLE_LOCATION, (stack,)), packed(_SAMPLE_VALUE, values), labels)

    def _labels(self, lane: Lane) -> bytes:
        root, thread, process = lane.root, lane.thread, lane.process
        labels: dict[str, str | int] = {"process": root_name(lane.root)}
        labels |= {"processes": root.processes} if root.processes else {"pid": root.pid}
        if thread is not None:
            labels |= {"thread": thread_name(thread), "tid": thread.tid}
        if process is not None and process.container:
            labels["container"] = printable(process.container)
        return b"".join(self._label(key, value) for key, value in labels.items())

    def _label(self, key: str, value: str | int) -> bytes:
        said = (
            number(_LABEL_NUMBER, value)
            if isinstance(value, int)
            else number(_LABEL_TEXT, self._strings[value])
        )
        return message(_SAMPLE_LABEL, number(_LABEL_KEY, self._strings[key]), said)


def _shown(frame: Frame) -> Shown:
    file = file_text(frame)
    mapping = _KERNEL_MAPPING if frame.kind == KERNEL else file if is_of_module(frame) else ""
    return marked_name(frame), file, line_number(frame), mapping
