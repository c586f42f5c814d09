"""``go tool pprof``, as Debian's Go has it."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.readers import said


class Function(NamedTuple):
    """A line of ``-top``: CPU time in itself, and with what it calls."""

    flat_ns: int
    total_ns: int


class RawSample(NamedTuple):
    """A sample of ``-raw``: its values, the numbers of its locations, leaf first, and its labels."""

    values: tuple[int, ...]
    locations: tuple[int, ...]
    labels: frozenset[tuple[str, str]]


def pprof(path: Path, *options: str) -> str:
    """What ``go tool pprof`` prints for these options."""
    home = {"HOME": str(path.parent), "PPROF_TMPDIR": str(path.parent), "TZ": "UTC", "GOTOOLCHAIN": "local"}
    return said("go", "tool", "pprof", *options, path, env=os.environ | home)


def top(path: Path, *options: str) -> dict[str, Function]:
    """Every function by its name."""
    lines = pprof(path, "-top", "-unit=ns", "-nodecount=1000", *options).partition("cum%\n")[2].splitlines()
    found = (line.split(maxsplit=5) for line in lines)
    return {name: Function(_ns(flat), _ns(total)) for flat, _, _, total, _, name in found}


def _ns(text: str) -> int:
    return int(text.removesuffix("ns"))


def raw_samples(path: Path) -> list[RawSample]:
    """Every sample of ``-raw``."""
    text = pprof(path, "-raw").partition("\nSamples:\n")[2].partition("\nLocations\n")[0]
    found: list[RawSample] = []
    for line in text.splitlines()[1:]:
        if numbers := re.fullmatch(r" *([\d ]+): ([\d ]*)", line):
            values, locations = (tuple(map(int, part.split())) for part in numbers.groups())
            found.append(RawSample(values, locations, frozenset()))
        else:
            labels = frozenset(re.findall(r"(\w+):\[(.*?)\](?= |$)", line))
            found[-1] = found[-1]._replace(labels=found[-1].labels | labels)
    return found


def counts_by_process(path: Path) -> Counter[str]:
    """The samples of each process, by its name and pid."""
    counts: Counter[str] = Counter()
    for sample in raw_samples(path):
        labels = dict(sample.labels)
        counts[f"{labels['process']} ({labels['pid']})"] += sample.values[0]
    return counts
