"""Cgroups of the tests' own, in the unified hierarchy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_EMPTY_S = 5.0


def hierarchy() -> Path:
    """Where the unified hierarchy is mounted."""
    return next(path for path in _HIERARCHIES if (path / "cgroup.controllers").exists())


@contextmanager
def cgroup(name: str) -> Iterator[Path]:
    """The folder of a new cgroup of this name; all that was in it has exited at the end."""
    folder = hierarchy() / name
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Ends what runs in a cgroup, if anything does, and removes it."""
    kill = folder / "cgroup.kill"  # Linux 5.14
    if kill.exists():
        kill.write_text("1")
    end_s = time.monotonic() + _EMPTY_S
    while "populated 1" in (folder / "cgroup.events").read_text() and time.monotonic() < end_s:
        time.sleep(0.01)
    folder.rmdir()
