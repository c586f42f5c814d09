"""The profilers that the bench runs, each behind one Protocol: add a class and a line in `ALL`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from profiler.capture import cache
from tests.bench.cost import Profiler
from tests.bench.peer import SCRIPT, Observation, Peer, Window, count_functions, folded, told
from tests.bench.targets import Truth, Workload
from tests.support.process.open_links import PERF_EVENT

TREE = Path(__file__).resolve().parents[2]
TOOLS = TREE / ".cache" / "bench-venv" / "bin"
NS = 1_000_000_000
US = 1_000_000


class Pidflame:
    """This project: the whole system."""

    name = "pidflame"
    title = "pidflame"
    interrupted = 0
    _program = TREE / ".venv" / "bin" / "pidflame"
    _root = re.compile(r"[^;]* \((\d+)( ended)?\)(?:;|$)")

    def missing(self) -> str:
        return "" if self._program.exists() else "not built: make test-setup"

    def refuses(self, workload: Workload) -> str:
        return ""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        stats = str(directory / "stats.json")
        output = str(directory / "out.folded")
        return [str(self._program), "record", "-F", str(hz), "-o", output, "--stats", stats, "--force"]

    def cold(self, command: Sequence[str]) -> list[str]:
        place = cache.folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        hidden = 'mount -t tmpfs -o mode=0700 none "$0" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", hidden, str(place), *command]

    def attached(self, profiler: Profiler) -> bool:
        return profiler.holds(PERF_EVENT)

    def script(self, directory: Path) -> list[str]:
        return []

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        pids = frozenset(truth.pids)
        own = [
            (stack, count)
            for stack, count in folded(directory / "out.folded")
            if (root := self._root.match(stack)) and (root.group(2) or int(root.group(1)) in pids)
        ]
        split = count_functions(own, truth.cpu_s)
        stats = json.loads((directory / "stats.json").read_text())
        dropped = sum(stats["dropped"].values())
        return Observation(split.total(), split, stats["first_sample_s"], stats["lost"], dropped)


class PerfSample(NamedTuple):
    """A line of `perf script` that begins a sample."""

    command: str
    pid: int
    time_ns: int


class Perf:
    """Linux perf: the whole system, without the interpreters' names."""

    name = "perf"
    title = "perf record -a -g, perf script"
    interrupted = 0
    _sample = re.compile(r"\s*(\S.*?)\s+(\d+)/\d+\s+\[\d+\]\s+(\d+)\.(\d{9}):")

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

    def cold(self, command: Sequence[str]) -> list[str]:
        return []

    def attached(self, profiler: Profiler) -> bool:
        return profiler.holds(PERF_EVENT)

    def script(self, directory: Path) -> list[str]:
        fields = "comm,pid,tid,cpu,time,event,ip,sym,dso"
        return ["perf", "script", "-i", str(directory / "perf.data"), "-F", fields, "--ns"]

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        samples = [each for each in self._samples(directory / SCRIPT) if each.pid]
        pids = frozenset(truth.pids)
        own = [
            each
            for each in samples
            if each.pid in pids and window.began_ns <= each.time_ns <= window.ended_ns
        ]
        first_ns = min((each.time_ns for each in samples), default=None)
        first_s = None if first_ns is None else (first_ns - window.profiler_started_ns) / NS
        split = Counter(each.command for each in own if each.command in truth.cpu_s)
        return Observation(
            len(own), split, first_s, told(r"lost (\d+) (?:chunks|samples|events)", words) or 0
        )

    def _samples(self, script: Path) -> Iterator[PerfSample]:
        with script.open(errors="replace") as lines:
            for line in lines:
                if found := self._sample.match(line):
                    command, pid, seconds, nanoseconds = found.groups()
                    yield PerfSample(command, int(pid), int(seconds) * NS + int(nanoseconds))


class Bcc:
    """BCC's example: the whole system, without the interpreters' names and without times.

    It needs the kernel's headers; BCC takes those that the variable BCC_KERNEL_SOURCE names.
    """

    name = "bcc"
    title = "bcc profile"
    interrupted = 0
    _program = shutil.which("profile-bpfcc") or ""

    def missing(self) -> str:
        if not self._program:
            return "not installed: apt-get install bpfcc-tools"
        tried = subprocess.run([self._program, "-f", "1"], capture_output=True, text=True, check=False)
        return "" if tried.returncode == 0 else (tried.stdout + tried.stderr).strip().splitlines()[0]

    def refuses(self, workload: Workload) -> str:
        return ""

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        output = f"exec {self._program} -f -F {hz} >{directory}/out.folded"
        return ["sh", "-c", output]

    def cold(self, command: Sequence[str]) -> list[str]:
        return []

    def attached(self, profiler: Profiler) -> bool:
        return profiler.holds(PERF_EVENT)

    def script(self, directory: Path) -> list[str]:
        return []

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        split = count_functions(folded(directory / "out.folded"), truth.cpu_s)
        lost = told(r"(\d+) stack traces (?:could not be displayed|lost)", words) or 0
        return Observation(split.total() or None, split, lost=lost)


class PySpy:
    """py-spy: one process and its children, Python only. It tells no times, not even its first sample's."""

    name = "py-spy"
    title = "py-spy"
    interrupted = 0
    _program = TOOLS / "py-spy"

    def missing(self) -> str:
        return "" if self._program.exists() else "not installed: make bench asks PyPI for it"

    def refuses(self, workload: Workload) -> str:
        return "" if workload.is_python else "reads Python only"

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        output = ["-f", "raw", "-o", str(directory / "out.raw")]
        return [str(self._program), "record", "-s", "-p", str(target_pid), "-r", str(hz), *output]

    def cold(self, command: Sequence[str]) -> list[str]:
        return []

    def attached(self, profiler: Profiler) -> bool:
        return "Sampling process" in profiler.words()

    def script(self, directory: Path) -> list[str]:
        return []

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        output = directory / "out.raw"
        if not output.exists():  # it has seen nothing that ran
            return Observation(0, {})
        split = count_functions(folded(output), truth.cpu_s)
        return Observation(split.total(), split, dropped=told(r"Errors: (\d+)", words))


class Austin:
    """Austin: one process and its children, Python only, no times. With `-s` it leaves out idle threads."""

    name = "austin"
    title = "Austin"
    interrupted = 254
    _program = TOOLS / "austin"

    def missing(self) -> str:
        if not self._program.exists():
            return "not installed: make bench asks PyPI for it"
        tried = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False)
        return "" if tried.returncode == 0 else tried.stderr.strip().splitlines()[0]

    def refuses(self, workload: Workload) -> str:
        return "" if workload.is_python else "reads Python only"

    def command(self, target_pid: int, hz: int, directory: Path) -> list[str]:
        output = ["-o", str(directory / "out.austin")]
        return [str(self._program), "-s", "-C", "-i", f"{US // hz}us", "-p", str(target_pid), *output]

    def cold(self, command: Sequence[str]) -> list[str]:
        return []

    def attached(self, profiler: Profiler) -> bool:
        return "Python" in profiler.words()

    def script(self, directory: Path) -> list[str]:
        return []

    def observe(self, directory: Path, words: str, truth: Truth, window: Window) -> Observation:
        lines = ((stack, 1) for stack, _ in folded(directory / "out.austin"))
        split = count_functions(lines, truth.cpu_s)
        return Observation(
            split.total(), split, dropped=told(r"Error rate[^\d]*?(?:\x1b\[\w+m)?(\d+)/", words)
        )


PIDFLAME = Pidflame()
ALL: tuple[Peer, ...] = (PIDFLAME, Perf(), Bcc(), PySpy(), Austin())
BY_NAME = {peer.name: peer for peer in ALL}
