"""What all processes of a recording take together, while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EACH_S = 0.1


@dataclass
class Watch:
    """The most proportional bytes (PSS) that were seen at one look, and by process name what they were."""

    peak_bytes: int = 0
    looks: int = 0
    parts: tuple[int, ...] = ()


@contextmanager
def watched(pid: int) -> Iterator[Watch]:
    """Looks at the process and its children until the end of the block."""
    watch, stopped = Watch(), threading.Event()

    def look() -> None:
        while not stopped.wait(EACH_S):
            parts = tuple(_pss_bytes(each) for each in (pid, *_children_of(pid)))
            watch.looks += 1
            if sum(parts) > watch.peak_bytes:
                watch.peak_bytes, watch.parts = sum(parts), parts

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        stopped.set()
        thread.join()


def _children_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _pss_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
