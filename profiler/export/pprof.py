"""pprof's format: a gzipped ``perftools.profiles.Profile``, as ``go tool pprof`` and many services read it.

Each sample has its count and its CPU time. Process and thread are labels: ``-tagroot=process,pid`` puts them
below the stacks. What kind of code a frame is can be told by its name (``_[k]``) and its mapping.
https://github.com/google/pprof/blob/main/proto/profile.proto
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from profiler.export.protobuf import address, message, number, packed, text, varint
from profiler.export.tables import (
    Lane,
    Module,
    Table,
    duration_ns,
    facts,
    first_line,
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
from profiler.profile.places import NOWHERE
from symbolizers.frame import KERNEL, Frame

# Fields of Profile, and of the messages in it.
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME_NANOS, _DURATION_NANOS, _PERIOD_TYPE, _PERIOD, _COMMENT, _DEFAULT_SAMPLE_TYPE = 9, 10, 11, 12, 13, 14
_SAMPLE_LOCATION, _SAMPLE_VALUE, _SAMPLE_LABEL = 1, 2, 3
_LABEL_KEY, _LABEL_TEXT, _LABEL_NUMBER = 1, 2, 3
_ID = 1
_MAPPING_LIMIT, _MAPPING_FILE, _MAPPING_BUILD_ID, _MAPPING_FLAGS = 3, 5, 6, (7, 8, 9)
"""The flags say that functions, files and lines are known, so that nobody looks for them in the file."""
_LOCATION_MAPPING, _LOCATION_ADDRESS, _LOCATION_LINE = 2, 3, 4
_LINE_FUNCTION, _LINE_NUMBER = 1, 2
_FUNCTION_NAME, _FUNCTION_FILE, _FUNCTION_LINE = 2, 4, 5

_KERNEL_MAPPING = "[kernel.kallsyms]"
_NOWHERE_MAPPED = Module("")


class Function(NamedTuple):
    """A function: name, file and the line where it begins."""

    name: str
    file: str
    first_line: int


class Shown(NamedTuple):
    """A location: function, line, what it is mapped from and its address there."""

    function: Function
    line: int
    module: Module
    address: int


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
        self._locations: Table[Frame, Shown, bytes] = Table(self._shown, varint, first=1)
        self._functions: Table[Function, Function, int] = Table(lambda function: function, int, first=1)
        self._mappings: Table[Module, Module, int] = Table(lambda module: module, int, first=1)

    def parts(self) -> Iterator[bytes]:
        """The fields of the message, which is all of them together."""
        # Readers call the recording by the first mapping's file.
        self._strings[""], self._mappings[Module(title_text(self._profile))]
        yield from self._head()
        for lane in lanes(self._profile):
            yield from self._samples(lane)
        yield from self._code()
        for each in self._strings.rows:
            yield text(_STRING, each)

    def _code(self) -> Iterator[bytes]:
        """Locations, functions and mappings. A mapping is a whole file: addresses are offsets in it."""
        last: Counter[Module] = Counter()
        for shown, row in self._locations.rows.items():
            function, line, module, at = shown
            place = number(_LINE_FUNCTION, self._functions[function]), number(_LINE_NUMBER, line)
            where = b""
            if module != _NOWHERE_MAPPED:
                where = number(_LOCATION_MAPPING, self._mappings[module]) + address(_LOCATION_ADDRESS, at)
                last[module] = max(last[module], at)
            yield message(_LOCATION, number(_ID, row), where, message(_LOCATION_LINE, *place))
        for function, row in self._functions.rows.items():
            # Without a name of the system's, which Go would demangle: it cuts what stands in <>.
            yield message(
                _FUNCTION,
                number(_ID, row),
                number(_FUNCTION_NAME, self._strings[function.name]),
                number(_FUNCTION_FILE, self._strings[function.file]),
                number(_FUNCTION_LINE, function.first_line),
            )
        for module, row in self._mappings.rows.items():
            yield message(
                _MAPPING,
                number(_ID, row),
                address(_MAPPING_LIMIT, last[module] + 1 if last[module] else 0),
                number(_MAPPING_FILE, self._strings[module.name]),
                number(_MAPPING_BUILD_ID, self._strings[module.build_id]),
                *(number(flag, 1) for flag in _MAPPING_FLAGS),
            )

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

    def _shown(self, frame: Frame) -> Shown:
        place = self._profile.places.get(frame, NOWHERE)
        file = file_text(frame)
        mapped = _KERNEL_MAPPING if frame.kind == KERNEL else file if is_of_module(frame) else ""
        module = Module(mapped, place.build_id) if mapped else _NOWHERE_MAPPED
        function = Function(marked_name(frame), file, first_line(frame, place))
        return Shown(function, line_number(frame), module, place.address)

    def _label(self, key: str, value: str | int) -> bytes:
        said = (
            number(_LABEL_NUMBER, value)
            if isinstance(value, int)
            else number(_LABEL_TEXT, self._strings[value])
        )
        return message(_SAMPLE_LABEL, number(_LABEL_KEY, self._strings[key]), said)
