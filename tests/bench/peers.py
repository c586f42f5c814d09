"""The profilers that the bench runs, each behind one Protocol: add a class and a line in `ALL`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.cost import Profiler
from tests.bench.targets import Truth, Workload
from tests.support.process.open_links import PERF_EVENT

TREE = Path(__file__).resolve().parents[2]
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """When the target did its work, and when the profiler was started (CLOCK_MONOTONIC, ns)."""

    profiler_started_ns: int
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a profiler saw of a target's work. `split` is empty where it can't tell functions apart."""

    samples: int
    split: Mapping[str, int]
    first_sample_s: float | None


class Peer(Protocol):
    """A profiler on this machine. One object a bench run; a directory of its own for every recording."""

    name: str

    def missing(self) -> str:
        """Why it can't be had here; empty where it can."""

    def refuses(self, workload: Workload) -> str:
        """Why it can't record this workload; empty where it can."""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        """The command that records into `directory` until it is interrupted."""

    def attached(self, profiler: Profiler) -> bool:
        """Whether the running profiler has begun to sample."""

    def observe(self, directory: Path, truth: Truth, window: Window) -> Observation:
        """What the finished recording in `directory` shows."""


def count_functions(stacks: Iterable[tuple[str, int]], functions: Iterable[str]) -> Counter[str]:
    """Samples by the one of `functions` that is on their stack; the others are left out."""
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, functions)) + r")\b")
    counts: Counter[str] = Counter()
    for stack, count in stacks:
        if found := pattern.search(stack):
            counts[found.group()] += count
    return counts


def folded(file: Path) -> Iterable[tuple[str, int]]:
    """The stacks of a folded file, and their counts; lines that don't parse are another profiler's fault."""
    for line in file.read_text(errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            yield stack, int(count)


class Pidflame:
    """This project: the whole system."""

    name = "pidflame"
    _program = TREE / ".venv" / "bin" / "pidflame"
    _root = re.compile(r"[^;]* \((\d+)\)(?:;|$)")

    def missing(self) -> str:
        return "" if self._program.exists() else "not built: make test-setup"

    def refuses(self, workload: Workload) -> str:
        return ""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        stats = str(directory / "stats.json")
        output = str(directory / "out.folded")
        return [str(self._program), "record", "-F", str(hz), "-o", output, "--stats", stats, "--force"]

    def attached(self, profiler: Profiler) -> bool:
        return profiler.holds(PERF_EVENT)

    def observe(self, directory: Path, truth: Truth, window: Window) -> Observation:
        pids = set(truth.pids)
        own = [
            (stack, count)
            for stack, count in folded(directory / "out.folded")
            if (root := self._root.match(stack)) and int(root.group(1)) in pids
        ]
        split = count_functions(own, truth.cpu_s)
        stats = json.loads((directory / "stats.json").read_text())
        return Observation(split.total(), split, stats.get("first_sample_s"))


class Perf:
    """Linux perf: the whole system, without the interpreters' names."""

    name = "perf record -a -g"

    def missing(self) -> str:
        program = shutil.which("perf")
        if program is None:
            return "not installed: apt-get install linux-perf (Ubuntu: linux-tools-generic)"
        works = subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
        return "" if works else "perf --version fails: there is none for this kernel"

    def refuses(self, workload: Workload) -> str:
        return ""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        output = str(directory / "perf.data")
        event = ["-e", "cpu-clock", "-k", "CLOCK_MONOTONIC"]
        return ["perf", "record", "-a", "-g", "-F", str(hz), *event, "-o", output]

    def attached(self, profiler: Profiler) -> bool:
        return profiler.holds(PERF_EVENT)

    def observe(self, directory: Path, truth: Truth, window: Window) -> Observation:
        listing = subprocess.run(
            ["perf", "script", "-i", str(directory / "perf.data"), "-F", "pid,time", "--ns"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        pids = set(truth.pids)
        times_ns = []
        for line in listing.splitlines():
            pid, time_s = line.split()[:2]
            if int(pid) in pids:
                times_ns.append(round(float(time_s.rstrip(":")) * NS))
        samples = sum(window.began_ns <= time_ns <= window.ended_ns for time_ns in times_ns)
        first_s = (min(times_ns) - window.profiler_started_ns) / NS if times_ns else None
        return Observation(samples, {}, first_s)


class PySpy:
    """py-spy: one process and its children, Python only. It tells no times, not even its first sample's."""

    name = "py-spy"
    _program = TREE / ".cache" / "bench-venv" / "bin" / "py-spy"

    def missing(self) -> str:
        return "" if self._program.exists() else "not installed: make bench asks PyPI for it"

    def refuses(self, workload: Workload) -> str:
        return "" if workload.is_python else "reads Python only"

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        output = ["-f", "raw", "-o", str(directory / "out.raw")]
        return [str(self._program), "record", "-s", "-p", str(target_pid), "-r", str(hz), *output]

    def attached(self, profiler: Profiler) -> bool:
        return "Sampling process" in profiler.words()

    def observe(self, directory: Path, truth: Truth, window: Window) -> Observation:
        split = count_functions(folded(directory / "out.raw"), truth.cpu_s)
        return Observation(split.total(), split, None)


ALL: tuple[Peer, ...] = (Pidflame(), Perf(), PySpy())
