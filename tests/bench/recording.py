"""What a recording costs: ``python -m tests.bench.recording [PAGE...]``, an hour at 100 Hz on two busy CPUs.

Its samples are given to the journal second by second, as a session gives them. Printed are the size of
the file and the CPU time that it takes to write it, as a share of a core over the hour.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from profiler.profile.writer import RecordingWriter
from profiler.run.journal import SLICE_NS, Journal
from symbolizers.frame import Frame
from tests.bench.page import prose, publish, written_by
from tests.bench.results import Machine
from tests.support.samples import raw_sample

TITLE = "a recording"
HOUR_S = 3600
CPUS = 2
HZ = 100
PROCESSES, FUNCTIONS, STACKS = 60, 5000, 6000
MB = 1_000_000


class Cost(NamedTuple):
    """Of an hour."""

    share: float
    """Of a core."""
    file_bytes: int


def measure(folder: str, hours: float = 1.0) -> Cost:
    """Writes a recording of so many hours; few stacks have most of the samples."""
    chance = Random(15)
    elements = [Frame("python", f"f{n}", f"/srv/app/m{n % 99}.py", n) for n in range(FUNCTIONS)]
    samples = [raw_sample(pid=pid, comm=b"app%d" % (pid % 9)) for pid in range(1, PROCESSES + 1)]
    path = Path(folder, "hour.pidflame")
    journal = Journal(RecordingWriter(str(path)))
    started = time.process_time()
    journal.begin(0, {"frequency_hz": HZ})
    threads = [journal.thread(sample) for sample in samples]
    stacks = [
        journal.stack([*range(base, base + 20), *chance.choices(range(FUNCTIONS), k=12)])
        for base in chance.choices(range(200), k=STACKS)
    ]
    weights = [1 / (rank + 1) for rank in range(STACKS)]
    seconds = int(HOUR_S * hours)
    for second in range(seconds):
        for at, stack in enumerate(chance.choices(stacks, weights, k=CPUS * HZ)):
            time_ns = second * SLICE_NS + at * SLICE_NS // (CPUS * HZ)
            journal.sample(threads[stack % PROCESSES], stack, at % CPUS, time_ns)
        journal.write_if_due((second + 1) * SLICE_NS, elements)
    assert not journal.failure, journal.failure
    return Cost((time.process_time() - started) / seconds, path.stat().st_size)


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    with TemporaryDirectory(prefix="pidflame-recording-") as folder:
        cost = measure(folder)
    made_by = written_by("tests.bench.recording docs/BENCHMARKS.md", Machine())
    text = prose(f"""
        An hour at {HZ} Hz on {CPUS} CPUs is a recording of {cost.file_bytes / MB:.1f} MB, and writing it
        meanwhile takes {100 * cost.share:.3f} % of a core.""")
    publish({TITLE: f"{made_by}\n{text}"}, [Path(page) for page in sys.argv[1:]])


if __name__ == "__main__":
    main()
