"""What a file of each format says was sampled: how often which stack, of which process and thread.

A process is its text, ``comm (pid)``, and its thread's is behind it where the format tells threads apart. A
stack is the texts of its frames, root first, as the format has them. Whoever compares formats takes what
both can tell.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tests.support.page_reader import PageData
from tests.support.readers.messages import otlp_profiles, pprof_profile

Stack = tuple[str, tuple[str, ...]]
"""The lane, and the names."""
Stacks = Counter[Stack]


def folded(contents: bytes) -> Stacks:
    """Frames have their places behind them; a thread is the first frame."""
    found: Stacks = Counter()
    for line in contents.decode().splitlines():
        stack, _, count = line.rpartition(" ")
        root, *frames = stack.split(";")
        found[root, tuple(frames)] += int(count)
    return found


def speedscope(contents: bytes, frequency_hz: int) -> Stacks:
    """From the profiles of threads; `speedscope_whole` is the one before them."""
    document = json.loads(contents)
    profiles = document["profiles"]
    return _of_profiles(document, profiles[1:] if len(profiles) > 1 else profiles, frequency_hz)


def speedscope_whole(contents: bytes, frequency_hz: int) -> Stacks:
    """From the first profile."""
    document = json.loads(contents)
    return _of_profiles(document, document["profiles"][:1], frequency_hz)


def _of_profiles(document: Any, profiles: Iterable[Any], frequency_hz: int) -> Stacks:
    names = [frame["name"] for frame in document["shared"]["frames"]]
    found: Stacks = Counter()
    for profile in profiles:
        assert profile["unit"] == "milliseconds"
        assert sum(profile["weights"]) == _about(profile["endValue"])
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            count = weight * frequency_hz / 1000
            assert count == _about(round(count))
            found[profile["name"], tuple(names[index] for index in stack)] += round(count)
    return found


class _about(float):
    """Equal to a number that differs by what floating point loses."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (int, float)) and abs(self - other) <= 1e-9 * max(1.0, abs(self))

    __hash__ = float.__hash__


def _lane(process: str, pid: int, processes: int, thread: tuple[str, int] | None) -> str:
    root = f"{process} ({processes} ended)" if processes else f"{process} ({pid})"
    return root if thread is None else f"{root} · thread {thread[0]} ({thread[1]})"


def pprof(contents: bytes) -> Stacks:
    """Counts; that the CPU time of each is in proportion is asserted."""
    profile = pprof_profile(contents)
    strings = list(profile.string_table)
    functions = {function.id: strings[function.name] for function in profile.function}
    names = {location.id: functions[location.line[0].function_id] for location in profile.location}
    found: Stacks = Counter()
    for sample in profile.sample:
        count, cpu_ns = sample.value
        assert cpu_ns == count * profile.period
        labels = {
            strings[label.key]: strings[label.str] if label.str else label.num for label in sample.label
        }
        thread = (labels["thread"], labels["tid"]) if "thread" in labels else None
        lane = _lane(labels["process"], labels.get("pid", 0), labels.get("processes", 0), thread)
        found[lane, tuple(names[location] for location in reversed(sample.location_id))] += count
    return found


def otlp(contents: bytes) -> Stacks:
    """One for each time, or as many as the value says."""
    data = otlp_profiles(contents)
    tables = data.dictionary
    strings = list(tables.string_table)
    found: Stacks = Counter()
    for resource in data.resource_profiles:
        for profile in (each for scope in resource.scope_profiles for each in scope.profiles):
            for sample in profile.samples:
                attributes = {
                    strings[each.key_strindex]: getattr(each.value, each.value.WhichOneof("value"))
                    for each in (tables.attribute_table[index] for index in sample.attribute_indices)
                }
                named = (attributes.get("thread.name"), attributes.get("thread.id"))
                lane = _lane(
                    attributes["process.executable.name"],
                    attributes.get("process.pid", 0),
                    attributes.get("pidflame.processes", 0),
                    None if named[0] is None else named,
                )
                locations = reversed(tables.stack_table[sample.stack_index].location_indices)
                lines = (tables.location_table[index].lines[0] for index in locations)
                names = (tables.function_table[line.function_index].name_strindex for line in lines)
                count = len(sample.timestamps_unix_nano) or sum(sample.values)
                found[lane, tuple(strings[name] for name in names)] += count
    return found


def firefox(contents: bytes) -> Stacks:
    """A stack without frames is one function, which is called as its process."""
    document = json.loads(gzip.decompress(contents))
    shared = document["shared"]
    strings, stacks = shared["stringArray"], shared["stackTable"]
    frames, functions = shared["frameTable"], shared["funcTable"]
    names = [strings[functions["name"][function]] for function in frames["func"]]
    paths: list[tuple[str, ...]] = []
    for frame, below in zip(stacks["frame"], stacks["prefix"], strict=True):
        paths.append((*(() if below is None else paths[below]), names[frame]))
    found: Stacks = Counter()
    for thread in document["threads"]:
        samples = thread["samples"]
        pid = thread["pid"].partition("-")[0]
        process = thread["processName"] if pid == "0" else f"{thread['processName']} ({pid})"
        lane = process if thread["tid"] == thread["pid"] else f"{process} · thread {_thread(thread)}"
        weights = samples["weight"] or [1] * samples["length"]
        for stack, weight in zip(samples["stack"], weights, strict=True):
            found[lane, paths[stack]] += weight
    return found


def page(contents: bytes) -> Stacks:
    """The page tells threads apart where it is told of them."""
    found: Stacks = Counter()
    for process, thread, stack, count in PageData(contents.decode()).lanes():
        found[f"{process} · {thread}" if thread else process, stack] += count
    return found


def _thread(thread: Any) -> str:
    return f"{thread['name']} ({thread['tid']})"


READERS: dict[str, Callable[[bytes, int], Stacks]] = {
    "folded": lambda contents, _: folded(contents),
    "html": lambda contents, _: page(contents),
    "speedscope": speedscope,
    "pprof": lambda contents, _: pprof(contents),
    "otlp": lambda contents, _: otlp(contents),
    "firefox": lambda contents, _: firefox(contents),
}
"""By the name of the format; the second argument is the frequency."""
