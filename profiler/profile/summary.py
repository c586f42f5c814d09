"""What a report says first: the functions that ran most, and the path that most samples took.

A recording that has ended keeps its summary (the fact `FACT`), so that a report of a million samples is there
at once. It is that of the usual view; any other one is made of the samples.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import count as count_from
from typing import NamedTuple

from msgspec import Struct

from profiler.profile.frames import distinct
from profiler.profile.model import Root, Sample
from symbolizers.frame import Frame

FACT = "hottest"
MOST_FUNCTIONS = 15
MOST_DEPTH = 4096
_PATH_SHARE = 0.5
"""The hottest path goes on as long as one callee has so much of what its caller has."""
_MOST_SAMPLES = 1 << 53


class HotFunction(NamedTuple):
    """A function with its own samples, and those with it anywhere in the stack."""

    function: Frame
    own: int
    total: int


class Summary(Struct, frozen=True):
    """The hottest functions and path of `samples` samples; both are empty if there are none."""

    samples: int
    functions: tuple[HotFunction, ...] = ()
    """At most `MOST_FUNCTIONS`, those with most own samples first."""
    path: tuple[tuple[Root | Frame, int], ...] = ()
    """The first box of the path and the frames in it, each with its samples."""


def summary_of(samples: Sequence[Sample]) -> Summary:
    """The summary of what is shown."""
    total = sum(sample.count for sample in samples)
    if not total:
        return Summary(0)
    functions = sorted(_by_function(samples), key=lambda hot: (-hot.own, -hot.total))
    return Summary(total, tuple(functions[:MOST_FUNCTIONS]), tuple(_path(samples)))


def summary_text(summary: Summary) -> str:
    """As the fact has it: JSON."""
    (root, count), *frames = summary.path or ((Root(b"", 0), 0),)
    assert isinstance(root, Root)
    figures = {
        "samples": summary.samples,
        "functions": [[*hot.function, hot.own, hot.total] for hot in summary.functions],
        "root": [root.comm.decode("utf-8", "surrogateescape"), root.pid, root.processes, count],
        "path": [[*frame, count] for frame, count in frames],
    }
    return json.dumps(figures)


def summary_from(text: str) -> Summary:
    """From what `summary_text` gave; else raises `ValueError`, `KeyError` or `TypeError`."""
    figures = json.loads(text)
    if len(figures["functions"]) > MOST_FUNCTIONS or len(figures["path"]) > MOST_DEPTH:
        raise ValueError("its summary is too long")
    functions = [
        HotFunction(_frame(*frame), _count(own), _count(total)) for *frame, own, total in figures["functions"]
    ]
    comm, pid, processes, count = figures["root"]
    root = Root(str(comm).encode("utf-8", "surrogateescape"), _count(pid), _count(processes))
    path = [(_frame(*frame), _count(count)) for *frame, count in figures["path"]]
    samples = _count(figures["samples"])
    return Summary(samples, tuple(functions), ((root, _count(count)), *path)) if samples else Summary(0)


def _frame(kind: object, name: object, file: object, line: object) -> Frame:
    return Frame(str(kind), str(name), str(file), _count(line))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST_SAMPLES:
        raise ValueError(f"{value!r} is no number of samples")
    return value


def _by_function(samples: Sequence[Sample]) -> list[HotFunction]:
    """All functions; lines don't tell apart."""
    functions: dict[Frame, int] = {}
    numbers = {
        at: functions.setdefault(frame._replace(line=0), len(functions))
        for at, frame in distinct(samples).items()
    }
    own, total = [0] * len(functions), [0] * len(functions)
    for sample in samples:
        for function in {*map(numbers.__getitem__, map(id, sample.frames))}:
            total[function] += sample.count
        if sample.frames:
            own[numbers[id(sample.frames[-1])]] += sample.count
    return [HotFunction(function, own[number], total[number]) for function, number in functions.items()]


def _path(samples: Sequence[Sample]) -> list[tuple[Root | Frame, int]]:
    """The largest box in the box before, as long as it has the most of that."""
    roots: Counter[Root] = Counter()
    for sample in samples:
        roots[sample.root] += sample.count
    ((root, count),) = roots.most_common(1)
    path: list[tuple[Root | Frame, int]] = [(root, count)]
    inside = [sample for sample in samples if sample.root == root]
    for depth in count_from(0):
        callees: Counter[Frame] = Counter()
        for sample in inside:
            if len(sample.frames) > depth:
                callees[sample.frames[depth]] += sample.count
        if not callees:
            break
        ((frame, callee),) = callees.most_common(1)
        if callee < _PATH_SHARE * count:
            break
        count = callee
        inside = [each for each in inside if len(each.frames) > depth and each.frames[depth] == frame]
        path.append((frame, count))
    return path
