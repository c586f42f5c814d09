"""What a process has open."""

from __future__ import annotations

import os
from contextlib import suppress

PERF_EVENT = "anon_inode:[perf_event]"


def open_links(pid: int) -> set[str]:
    """The targets of the links in /proc/PID/fd; as far as it could be read, if the process ends meanwhile."""
    links = set()
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):  # it has just been closed
                links.add(os.readlink(entry.path))
    return links
