"""Whether a recording samples yet."""

from __future__ import annotations

import time

from tests.support.process.open_links import PERF_EVENT, open_links

PATIENCE_S = 60.0


def wait_until_sampling(pid: int) -> None:
    """Returns when the process has perf events open."""
    end_s = time.monotonic() + PATIENCE_S
    while PERF_EVENT not in open_links(pid):
        assert time.monotonic() < end_s, "it does not begin"
        time.sleep(0.02)
