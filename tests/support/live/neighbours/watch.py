"""What all processes of a recording take together, while it goes on."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.process.targets import children_of

EACH_S = 0.1


@dataclass
class Watch:
    """The most proportional bytes (PSS) at one look, in all and of each process, and when all was over."""

    peak_bytes: int = 0
    parts: tuple[int, ...] = ()
    looks: int = 0
    ended_s: float = 0.0
    """On CLOCK_MONOTONIC."""


@contextmanager
def watched(pid: int) -> Iterator[Watch]:
    """Looks at the process and its children until it ends, which it has to do within the block.

    A child that has not run its own program yet (vfork) has its parent's memory, which counts once.
    """
    watch = Watch()
    descriptor = os.pidfd_open(pid)

    def look() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(EACH_S * 1000):
            children = [each for each in children_of(pid) if _command_of(each) != _command_of(pid)]
            parts = tuple(_pss_bytes(each) for each in (pid, *children))
            watch.looks += 1
            if sum(parts) > watch.peak_bytes:
                watch.peak_bytes, watch.parts = sum(parts), parts
        watch.ended_s = time.monotonic()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        thread.join()
        os.close(descriptor)


def _command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _pss_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
