"""The steps of a recording, by the clock."""

from __future__ import annotations

import time

from profiler.run.steps import Steps


def test_steps_follow_each_other_from_the_start_on() -> None:
    began_s = time.monotonic() - 10
    steps = Steps(began_s)
    steps.end("start")
    time.sleep(0.01)
    steps.end("load")
    took_s = time.monotonic() - began_s
    assert list(steps.took_s) == ["start", "load"]
    assert 10 <= steps.took_s["start"] < took_s - 0.01
    assert 0.01 <= steps.took_s["load"] < 5
    assert 10.01 <= sum(steps.took_s.values()) <= took_s
