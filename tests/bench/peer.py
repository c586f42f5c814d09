"""What the bench asks of a profiler, and how it counts what the profiler has seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.cost import Profiler
from tests.bench.targets import Truth, Workload


@dataclass(frozen=True, slots=True)
class Window:
    """When the target did its work, and when the profiler was started (CLOCK_MONOTONIC, ns)."""

    profiler_started_ns: int
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a profiler saw of a target's work; None stands for what it does not tell."""

    samples: int | None
    split: Mapping[str, int]
    """Empty where it can't tell the target's functions apart."""
    first_sample_s: float | None = None
    lost: int | None = None
    """Samples that found no room."""
    dropped: int | None = None
    """Samples without a stack."""


class Peer(Protocol):
    """A profiler on this machine. A directory of its own for every recording."""

    name: str
    """On the command line."""
    title: str
    """In a table."""
    interrupted: int
    """What it exits with after Ctrl-C, besides 0 and the signal itself."""

    def missing(self) -> str:
        """Why it can't be had here; empty where it can."""

    def refuses(self, workload: Workload) -> str:
        """Why it can't record this workload; empty where it can."""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        """The command that records into `directory` until it is interrupted."""

    def cold(self, command: Sequence[str]) -> list[str]:
        """The same without what earlier runs have kept; empty where it keeps nothing."""

    def attached(self, profiler: Profiler) -> bool:
        """Whether the running profiler has begun to sample."""

    def script(self, directory: Path) -> list[str]:
        """What makes stacks of the finished recording, and prints them; empty where it has done so itself."""

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        """What the finished recording in `directory` shows; `words` is what the profiler said."""


SCRIPT = "script"
"""The file in a recording's directory that holds what its script printed."""


def count_functions(stacks: Iterable[tuple[str, int]], functions: Iterable[str]) -> Counter[str]:
    """Samples by the one of `functions` that is on their stack; the others are left out."""
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, functions)) + r")\b")
    counts: Counter[str] = Counter()
    for stack, count in stacks:
        if (found := pattern.search(stack)) and found.group():
            counts[found.group()] += count
    return counts


def folded(file: Path) -> Iterable[tuple[str, int]]:
    """The stacks of a folded file, and their counts; lines that don't parse are another profiler's fault."""
    for line in file.read_text(errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            yield stack, int(count)


def told(pattern: str, words: str) -> int | None:
    """The number that the profiler's words give where the `pattern` matches."""
    found = re.search(pattern, words)
    return int(found.group(1)) if found else None
