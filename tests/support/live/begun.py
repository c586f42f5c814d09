"""Whether a recording samples yet."""

from __future__ import annotations

import os
import time
from contextlib import suppress

PATIENCE_S = 60.0


def wait_until_sampling(pid: int) -> None:
    """Returns when the process has perf events open."""
    end_s = time.monotonic() + PATIENCE_S
    while not _has_events(pid):
        assert time.monotonic() < end_s, "it does not begin"
        time.sleep(0.02)


def _has_events(pid: int) -> bool:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            if os.readlink(f"{folder}/{name}") == "anon_inode:[perf_event]":
                return True
    return False
