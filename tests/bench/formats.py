"""What each format costs: ``python -m tests.bench.formats [PAGE...]``.

Each is written in a process of its own, from a generated recording of an hour: CPU seconds of the writing,
the most memory that it took on top of the recording, and the size of the file. The row behind them is what
``go tool pprof -top`` takes to read the same from the pprof file, as a measure of the machine. The last ones
are ``pidflame report`` of the recording: on a terminal, and with a function left out, for which all is read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

from profiler.export.registry import FORMATS, Format
from profiler.profile.model import Profile
from tests.bench.page import publish, written_by
from tests.bench.results import Machine
from tests.bench.table import markdown
from tests.support.live.harness import PIDFLAME
from tests.support.many_stacks import many_stacks
from tests.support.readers.pprof import pprof
from tests.support.recordings import write_profile

MB = 1_000_000
TITLE = "files"
STACKS, SAMPLES = 100_000, 1_000_000


class Cost(NamedTuple):
    """Of writing one file."""

    cpu_s: float
    rss_bytes: int
    file_bytes: int


def measure(known: Format, profile: Profile, path: Path) -> Cost:
    """Writes the file, in a forked process."""
    said, say = os.pipe()
    with path.open("wb") as stream:
        if not (child := os.fork()):
            try:
                os.write(say, " ".join(map(str, _written(known, profile, stream))).encode())
            finally:
                os._exit(0)
        os.close(say)
        with os.fdopen(said) as answer:
            cpu_s, rss_bytes, file_bytes = answer.read().split()
        os.waitpid(child, 0)
    return Cost(float(cpu_s), int(rss_bytes), int(file_bytes))


def _written(known: Format, profile: Profile, stream: BinaryIO) -> Cost:
    Path("/proc/self/clear_refs").write_text("5")  # the most memory is what it takes from now on
    before = _most_rss_bytes()
    started = time.process_time()
    known.write(profile, stream)
    stream.flush()
    cpu_s = time.process_time() - started
    return Cost(cpu_s, _most_rss_bytes() - before, stream.tell())


def _most_rss_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def read_by_go(path: Path) -> float:
    """CPU seconds of Go's reader."""
    before = os.times()
    pprof(path, "-top")
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def reported(path: Path, *options: str) -> float:
    """CPU seconds of ``pidflame report``, which prints."""
    before = os.times()
    subprocess.run([PIDFLAME, "report", path, *options], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def rows(folder: Path) -> Iterator[Sequence[str]]:
    """Of all formats, of Go's reader and of reports."""
    profile = many_stacks(stacks=STACKS, samples=SAMPLES)
    for known in FORMATS:
        cost = measure(known, profile, folder / f"x{known.suffixes[0]}")
        sizes = (f"{cost.rss_bytes / MB:.0f}", f"{cost.file_bytes / MB:.1f}")
        yield (known.name, f"{cost.cpu_s:.2f}", *sizes)
    yield ("go tool pprof -top", f"{read_by_go(folder / 'x.pb.gz'):.2f}", "", "")
    recording = write_profile(folder / "x.pidflame", profile)
    megabytes = f"{recording.stat().st_size / MB:.1f}"
    yield ("pidflame report", f"{reported(recording):.2f}", "", megabytes)
    seconds = reported(recording, "--ignore", "no such")
    yield ("pidflame report --ignore", f"{seconds:.2f}", "", megabytes)


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    made_by = written_by("tests.bench.formats docs/BENCHMARKS.md", Machine())
    explanation = f"{SAMPLES:,} samples over {STACKS:,} stacks, in an hour."
    with TemporaryDirectory(prefix="pidflame-formats-") as folder:
        table = markdown(("format", "CPU, s", "memory, MB", "file, MB"), list(rows(Path(folder))))
    publish({TITLE: f"{made_by}\n{explanation}\n\n{table}"}, [Path(page) for page in sys.argv[1:]])


if __name__ == "__main__":
    main()
