"""A target does not notice that it is read: its own mmap() takes no longer beside our reads.

A read that waits for a page holds the target's mmap lock meanwhile, and every mmap() of the target then
waits too (0.8 s measured with PROCESS_VM_NOWAIT alone, where the kernel waits in spite of it).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import pytest

from symbolizers.process.memory import ReadStrategy
from tests.support.process.readers import open_reader
from tests.support.process.targets import PAGE, Target, in_time, running, running_fuse

pytestmark = pytest.mark.root

PAGES = 2
ROUNDS = 5
PAUSE_S = 0.001
"""Between two rounds of reads: a thousand rounds a second is more than a profiler ever does."""
MOST_SLOWED = 3.0
"""A held lock shows as a factor of 10,000; two processes sharing caches and a busy machine as 1.5."""


@contextmanager
def reading(pid: int, ranges: list[tuple[int, int]], strategy: ReadStrategy) -> Iterator[None]:
    """A process of ours that reads `ranges` of `pid` again and again, page by page and together."""
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            reader = open_reader(pid, strategy)
            while True:
                for one in ranges:
                    reader.read_many([one])
                reader.read_many(ranges)
                reader.forget()
                if ready_write >= 0:
                    os.write(ready_write, b"1")
                    os.close(ready_write)
                    ready_write = -1
                time.sleep(PAUSE_S)
        finally:
            os._exit(1)
    os.close(ready_write)
    try:
        # This byte comes after the first round, so it shows that no read of that round waited.
        assert in_time(lambda: os.read(ready_read, 1)) == b"1"
        yield
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the reading process ended"
    finally:
        os.close(ready_read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def target_of(kind: str, pages_file: Path, directory: Path) -> tuple[AbstractContextManager[Target], str]:
    """The target's context, and the region of it that is read."""
    if kind == "resident":
        return running("memory", pages_file), "resident"
    if kind == "untouched":
        return running("memory", pages_file), "untouched"
    if kind == "userfault":
        return running("userfault"), "region"
    return running_fuse(directory, kind), "random"


@pytest.mark.parametrize(
    "kind", ["resident", "untouched", "userfault", "async_reads", "sync_reads", "no_readahead"]
)
def test_own_mmap_is_not_slowed(kind: str, pages_file: Path, tmp_path: Path, strategy: ReadStrategy) -> None:
    context, region = target_of(kind, pages_file, tmp_path)
    with context as target, running("memory", pages_file) as other:
        wanted = [(target[region] + page * PAGE, 8) for page in range(PAGES)]
        elsewhere = [(other["resident"] + page * PAGE, 8) for page in range(PAGES)]
        alone_ns, beside_ns = [], []
        # In turns, so that other work of the machine hits both; the CPU is equally busy in the "alone" ones.
        for _ in range(ROUNDS):
            with reading(other.pid, elsewhere, strategy):
                alone_ns.append(target.ask("mmap_median_ns"))
            with reading(target.pid, wanted, strategy):
                beside_ns.append(target.ask("mmap_median_ns"))
        assert median(beside_ns) <= MOST_SLOWED * median(alone_ns), (alone_ns, beside_ns)
