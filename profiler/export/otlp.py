"""OTLP profiles: one ``opentelemetry.proto.profiles.v1development.ProfilesData``, as a file.

The schema is that of opentelemetry-proto 1.45: index 0 of each table is the zero value, nothing is there
twice, and nothing that is not used. There is a profile for each container, and one of what runs in none.
Processes and threads are attributes of the samples. A sample has the time of each moment, or a count where
these are not known; it stands for the CPU time that is the profile's period.
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/profiles/v1development/profiles.proto
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib import metadata
from typing import BinaryIO, NamedTuple

from profiler.export.protobuf import (
    MAX,
    address,
    fixed_64,
    message,
    number,
    packed,
    packed_fixed_64,
    text,
    varint,
)
from profiler.export.tables import (
    Lane,
    Module,
    Table,
    duration_ns,
    facts,
    first_line,
    is_timed,
    lanes,
    period_ns,
    started_ns,
)
from profiler.export.text import (
    file_text,
    function_name,
    is_of_module,
    line_number,
    printable,
    root_name,
    thread_name,
    title_text,
)
from profiler.profile.model import Profile, Sample
from profiler.profile.places import NOWHERE
from symbolizers.errors import Reason
from symbolizers.frame import INLINED, NATIVE, Frame
from symbolizers.registry import LANGUAGES

_RESOURCE_PROFILES, _DICTIONARY = 1, 2
_RESOURCE, _SCOPE_PROFILES = 1, 2
_RESOURCE_ATTRIBUTE = 1
_SCOPE, _PROFILE = 1, 2
_SCOPE_NAME, _SCOPE_VERSION = 1, 2
# Fields of the dictionary.
_MAPPING, _LOCATION, _FUNCTION, _LINK, _STRING, _ATTRIBUTE, _STACK = 1, 2, 3, 4, 5, 6, 7
# Fields of a profile, and of the messages in it.
_SAMPLE_TYPE, _SAMPLE, _TIME, _DURATION, _PERIOD_TYPE, _PERIOD, _PROFILE_ID = 1, 2, 3, 4, 5, 6, 7
_PROFILE_ATTRIBUTES = 11
_TYPE, _UNIT = 1, 2
_SAMPLE_STACK, _SAMPLE_ATTRIBUTES, _SAMPLE_VALUES, _SAMPLE_TIMES = 1, 2, 4, 5
# Fields of what the dictionary holds.
_MAPPING_LIMIT, _MAPPING_FILE, _MAPPING_ATTRIBUTES = 2, 4, 5
_STACK_LOCATIONS = 1
_LOCATION_MAPPING, _LOCATION_ADDRESS, _LOCATION_LINE, _LOCATION_ATTRIBUTES = 1, 2, 3, 4
_LINE_FUNCTION, _LINE_NUMBER = 1, 2
_FUNCTION_NAME, _FUNCTION_FILE, _FUNCTION_LINE = 1, 3, 4
_KEY, _VALUE = 1, 2
_VALUE_TEXT, _VALUE_NUMBER, _VALUE_ARRAY = 1, 3, 5

Value = str | int | tuple[str, ...]
Function = tuple[str, str, int]
"""Name, source file and the line where it begins."""


class Shown(NamedTuple):
    """A location: function, line, module, address in it and kind."""

    function: Function
    line: int
    module: Module
    address: int
    kind: str


_NS_PER_MS = 10**6
_BUILD_ID = "process.executable.build_id.gnu"
"""The attribute of a mapping that OpenTelemetry's conventions have for it."""
_FRAME_TYPES = {language.name: language.frame_type or language.name for language in LANGUAGES} | {
    INLINED: NATIVE
}
"""What OpenTelemetry calls a kind of frame, where it has another word."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the message."""
    for part in _Writer(profile).parts():
        stream.write(part)


class _Writer:
    """The dictionary of one file, which grows while the samples are written and comes last."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._start_ns = started_ns(profile)
        self._duration_ns = max(1, duration_ns(profile))
        self._strings: Table[str, str, int] = Table(str, int)
        self._strings[""]
        self._mappings: Table[Module, Module, int] = Table(lambda module: module, int)
        self._mappings[Module("")]
        self._functions: Table[Function, Function, int] = Table(lambda function: function, int, first=1)
        self._locations: Table[Frame, Shown, bytes] = Table(self._shown, varint, first=1)
        self._stacks: Table[bytes, bytes, int] = Table(bytes, int)
        self._stacks[b""]
        self._attributes: Table[tuple[str, Value], tuple[str, Value], bytes] = Table(
            lambda pair: pair, varint, first=1
        )

    def parts(self) -> Iterator[bytes]:
        """The fields of the message, which is all of them together."""
        by_container: defaultdict[str, list[Lane]] = defaultdict(list)
        for lane in lanes(self._profile):
            by_container[printable(lane.process.container) if lane.process else ""].append(lane)
        for container, found in (by_container or {"": []}).items():
            yield message(_RESOURCE_PROFILES, *self._resource(container), *self._scope(container, found))
        yield message(_DICTIONARY, *self._dictionary())

    def _resource(self, container: str) -> Iterator[bytes]:
        about = {"host.name": printable(self._profile.host), "os.type": "linux", "container.id": container}
        attributes = (
            message(_RESOURCE_ATTRIBUTE, text(_KEY, key), message(_VALUE, _value(value)))
            for key, value in about.items()
            if value
        )
        yield message(_RESOURCE, *attributes)

    def _scope(self, container: str, found: Sequence[Lane]) -> Iterator[bytes]:
        scope = message(_SCOPE, text(_SCOPE_NAME, "pidflame"), text(_SCOPE_VERSION, version()))
        yield message(_SCOPE_PROFILES, scope, message(_PROFILE, *self._profile_of(container, found)))

    def _profile_of(self, container: str, found: Sequence[Lane]) -> Iterator[bytes]:
        profile = self._profile
        yield message(_SAMPLE_TYPE, *self._type("samples", "count"))
        yield message(_PERIOD_TYPE, *self._type("cpu", "nanoseconds"))
        yield number(_PERIOD, period_ns(profile))
        yield fixed_64(_TIME, self._start_ns)
        yield number(_DURATION, self._duration_ns)
        identity = "\0".join((profile.host, profile.started_at, str(profile.duration_s), container))
        yield message(_PROFILE_ID, blake2b(identity.encode("utf-8", "replace"), digest_size=16).digest())
        yield packed(_PROFILE_ATTRIBUTES, self._numbers(self._about()))
        for lane in found:
            yield from self._samples(lane)

    def _about(self) -> dict[str, Value]:
        """What a person should know of the recording, and the ledger of its losses."""
        losses = self._profile.losses
        said: defaultdict[str, list[str]] = defaultdict(list)
        for about, fact in facts(self._profile):
            said[about].append(fact)
        several = {about: tuple(said.pop(about)) for about in ("warning", "note") if about in said}
        return {
            "pidflame.title": title_text(self._profile),
            **{f"pidflame.{about}": text for about, (text,) in said.items()},
            **{f"pidflame.{about}s": texts for about, texts in several.items()},
            "pidflame.samples.taken": losses.samples,
            "pidflame.samples.symbolized": losses.symbolized,
            "pidflame.samples.lost": losses.lost,
            **_by_reason("dropped", losses.dropped),
            **_by_reason("partial", losses.partial),
        }

    def _samples(self, lane: Lane) -> Iterator[bytes]:
        attributes = packed(_SAMPLE_ATTRIBUTES, self._numbers(_about_lane(lane)))
        same: defaultdict[int, list[Sample]] = defaultdict(list)
        for sample in lane.samples:
            # The leaf comes first.
            locations = map(self._locations.__getitem__, reversed(sample.frames))
            same[self._stacks[b"".join(locations)]].append(sample)
        for stack, samples in same.items():
            yield message(_SAMPLE, number(_SAMPLE_STACK, stack), attributes, self._observed(samples))

    def _observed(self, samples: Sequence[Sample]) -> bytes:
        if not all(map(is_timed, samples)):
            return packed(_SAMPLE_VALUES, (varint(sum(sample.count for sample in samples)),))
        start_ns, last_ns = self._start_ns, self._start_ns + self._duration_ns - 1
        times = [start_ns + time * _NS_PER_MS for sample in samples for time in sample.times_ms]
        times.sort()
        if not start_ns <= times[0] <= times[-1] <= last_ns:
            times = [min(max(time, start_ns), last_ns) for time in times]
        return packed_fixed_64(_SAMPLE_TIMES, times)

    def _type(self, name: str, unit: str) -> tuple[bytes, bytes]:
        return number(_TYPE, self._strings[name]), number(_UNIT, self._strings[unit])

    def _numbers(self, attributes: dict[str, Value]) -> list[bytes]:
        return [self._attributes[item] for item in attributes.items()]

    def _dictionary(self) -> Iterator[bytes]:
        """The tables, those that refer to others first."""
        for stack in self._stacks.rows:
            yield message(_STACK, packed(_STACK_LOCATIONS, (stack,)))
        yield from self._code()
        yield message(_ATTRIBUTE)
        for key, value in self._attributes.rows:
            yield message(_ATTRIBUTE, number(_KEY, self._strings[key]), message(_VALUE, _value(value)))
        yield message(_LINK)
        for each in self._strings.rows:
            yield text(_STRING, each)

    def _code(self) -> Iterator[bytes]:
        """Locations, functions and mappings. A mapping is a whole file: addresses are offsets in it."""
        last: Counter[Module] = Counter()
        yield message(_LOCATION)
        for function, line, module, at, kind in self._locations.rows:
            last[module] = max(last[module], at)
            where = number(_LINE_FUNCTION, self._functions[function]), number(_LINE_NUMBER, line)
            yield message(
                _LOCATION,
                number(_LOCATION_MAPPING, self._mappings[module]),
                address(_LOCATION_ADDRESS, at),
                message(_LOCATION_LINE, *where),
                packed(_LOCATION_ATTRIBUTES, self._numbers({"profile.frame.type": kind})),
            )
        yield message(_FUNCTION)
        for name, file, begins in self._functions.rows:
            names = number(_FUNCTION_NAME, self._strings[name]), number(_FUNCTION_FILE, self._strings[file])
            yield message(_FUNCTION, *names, number(_FUNCTION_LINE, begins))
        for module in self._mappings.rows:
            known: dict[str, Value] = {_BUILD_ID: module.build_id} if module.build_id else {}
            yield message(
                _MAPPING,
                address(_MAPPING_LIMIT, last[module] + 1 if module.name and last[module] else 0),
                number(_MAPPING_FILE, self._strings[module.name]),
                packed(_MAPPING_ATTRIBUTES, self._numbers(known)),
            )

    def _shown(self, frame: Frame) -> Shown:
        place = self._profile.places.get(frame, NOWHERE)
        file, kind = file_text(frame), _FRAME_TYPES.get(frame.kind, frame.kind)
        source, module = ("", file) if is_of_module(frame) else (file, "")
        function = function_name(frame), source, first_line(frame, place)
        at = 0 if kind == NATIVE and not module else place.address
        return Shown(function, line_number(frame), Module(module, place.build_id if module else ""), at, kind)


def _by_reason(what: str, counts: Mapping[Reason, int]) -> dict[str, Value]:
    return {f"pidflame.samples.{what}.{reason.value}": count for reason, count in counts.items() if count}


def _about_lane(lane: Lane) -> dict[str, Value]:
    """The attributes of each sample of a thread, by OpenTelemetry's names where it has some."""
    root, thread, process = lane.root, lane.thread, lane.process
    about: dict[str, Value] = {"process.executable.name": root_name(lane.root)}
    about |= {"pidflame.processes": root.processes} if root.processes else {"process.pid": root.pid}
    if thread is not None:
        about |= {"thread.id": thread.tid, "thread.name": thread_name(thread)}
    if process is not None:
        about["process.real_user.id"] = process.uid
        known: dict[str, Value] = {
            "process.parent_pid": process.parent,
            "process.executable.path": printable(process.executable),
            "process.command_args": tuple(map(printable, process.command)),
        }
        about |= {key: value for key, value in known.items() if value}
    return about


def _value(value: Value) -> bytes:
    """The contents of an ``AnyValue``, in which zero and the empty text are written, too."""
    if isinstance(value, str):
        return text(_VALUE_TEXT, value)
    if isinstance(value, int):
        return varint(_VALUE_NUMBER << 3) + varint(min(value, MAX))
    return message(_VALUE_ARRAY, *(message(1, _value(each)) for each in value))


def version() -> str:
    """That of pidflame, as it is installed; empty where it is not."""
    try:
        return metadata.version("pidflame")
    except metadata.PackageNotFoundError:
        return ""
