"""The name under which a process of ours is listed: in ps and top, and in our own recordings."""

from __future__ import annotations

from contextlib import suppress

MAIN = "pidflame"
WORKER = "pidflame-worker"
"""Of 15 characters, which is as many as the kernel keeps."""


def take_name(name: str) -> None:
    """Gives this process the `name`, and those that it forks. Without /proc it keeps the one that it has.

    To be called by the main thread. It needs no prctl(2), which a worker's sandbox does not allow.
    """
    with suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)
