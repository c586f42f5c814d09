"""A cgroup that a profiler's processes are counted in: those that ended too, and those that it forked."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_PATIENCE_S = 2.0
_POLL_S = 0.02
_NS_A_US = 1000


class NoCgroups(Exception):
    """There is no place for one on this machine."""


class Cgroup:
    """Version 2 of cgroups, of which only accounting is used. Lifetime: one run of one profiler."""

    def __init__(self) -> None:
        """Makes it. Raises `NoCgroups`."""
        self._folder = _mount_point() / f"bench-{os.getpid()}-{time.monotonic_ns()}"
        try:
            self._folder.mkdir()
        except OSError as error:
            raise NoCgroups(f"{self._folder}: {error.strerror}") from None

    def enter(self) -> None:
        """Puts the calling process into it."""
        (self._folder / "cgroup.procs").write_text("0")

    def pids(self) -> list[int]:
        """The processes in it that live now."""
        return [int(line) for line in (self._folder / "cgroup.procs").read_text().split()]

    def cpu_ns(self) -> int:
        """CPU time of all processes that are or were in it, user and system."""
        words = (self._folder / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) * _NS_A_US

    def close(self) -> None:
        """Removes it; one whose processes are still about to end stays, and does no harm."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.pids() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        with suppress(OSError):
            self._folder.rmdir()


def _mount_point() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    raise NoCgroups("cgroup2 is mounted nowhere: mount -t cgroup2 none /sys/fs/cgroup/unified")
