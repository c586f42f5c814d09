"""What each format costs: ``python -m tests.bench.formats [STACKS] [SAMPLES]``, one Markdown row a format.

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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

from profiler.export.registry import FORMATS, Format
from profiler.profile.model import Profile
from tests.support.live.harness import PIDFLAME
from tests.support.many_stacks import many_stacks
from tests.support.readers.pprof import pprof
from tests.support.recordings import write_profile

MB = 1_000_000


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


def main(stacks: int = 100_000, samples: int = 1_000_000) -> None:
    """Prints the table."""
    profile = many_stacks(stacks=stacks, samples=samples)
    print(f"{samples:,} samples over {stacks:,} stacks\n")
    print("| format | CPU, s | memory, MB | file, MB |")
    print("|---|---|---|---|")
    with TemporaryDirectory(prefix="pidflame-formats-") as folder:
        for known in FORMATS:
            cost = measure(known, profile, Path(folder, f"x{known.suffixes[0]}"))
            row = (f"{cost.cpu_s:.2f}", f"{cost.rss_bytes / MB:.0f}", f"{cost.file_bytes / MB:.1f}")
            print(f"| {known.name} | {' | '.join(row)} |", flush=True)
        print(f"| go tool pprof -top | {read_by_go(Path(folder, 'x.pb.gz')):.2f} | | |")
        recording = write_profile(Path(folder, "x.pidflame"), profile)
        megabytes = f"{recording.stat().st_size / MB:.1f}"
        print(f"| pidflame report | {reported(recording):.2f} | | {megabytes} |")
        print(
            f"| pidflame report --ignore | {reported(recording, '--ignore', 'no such'):.2f} | | {megabytes} |"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
