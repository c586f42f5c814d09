"""One measurement: one target's fixed work under one profiler (or none) at one rate."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost import Profiler, ProfilerFailed
from tests.bench.peers import Observation, Peer, Window
from tests.bench.targets import Truth, Workload, work_of

ATTACH_PATIENCE_S = 30.0
SETTLE_S = 2.0
"""From attachment to the target's work, so that the cost of starting does not count as one of running."""
POLL_S = 0.1
"""Each look goes through all processes, which costs the machine as much as a profiler does."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured together: its measurements of all rounds are one row of the table."""

    workload: Workload
    peer: Peer | None
    hz: int


@dataclass(frozen=True, slots=True)
class Running:
    """A profiler's cost while the target worked, apart from its start and its end."""

    cpu_ns: int
    wall_ns: int
    pss_bytes: int
    """Of all its processes, at the end."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a profiler did is absent where none ran; `failure` says why one gave nothing."""

    cell: Cell
    round: int
    truth: Truth | None = None
    running: Running | None = None
    whole_cpu_s: float | None = None
    seen: Observation | None = None
    failure: str = ""


def wait_until_attached(peer: Peer, profiler: Profiler) -> None:
    """Return when it samples; raises `ProfilerFailed` where it ends or takes too long instead."""
    deadline = time.monotonic() + ATTACH_PATIENCE_S
    while profiler.running() and not peer.attached(profiler):
        if time.monotonic() > deadline:
            raise ProfilerFailed(f"not attached after {ATTACH_PATIENCE_S:.0f} s")
        time.sleep(POLL_S)


def measure_alone(cell: Cell, round_number: int, units: int) -> Measurement:
    """The target's work with nobody watching."""
    with work_of(cell.workload, units) as target:
        time.sleep(SETTLE_S)
        target.go()
        return Measurement(cell, round_number, target.truth())


def measure_watched(cell: Cell, peer: Peer, round_number: int, units: int) -> Measurement:
    """The target's work under `peer`, which starts while the target warms up and ends after its work."""
    with (
        tempfile.TemporaryDirectory(prefix="pidflame-bench-") as directory,
        work_of(cell.workload, units) as target,
    ):
        place = Path(directory)
        command = peer.command(target.pid, cell.hz, place)
        with Profiler(command, place / "words") as profiler:
            wait_until_attached(peer, profiler)
            time.sleep(SETTLE_S)
            before_ns = profiler.cpu_ns()
            began_ns = time.monotonic_ns()
            target.go()
            truth = target.truth()
            ended_ns = time.monotonic_ns()
            running = Running(profiler.cpu_ns() - before_ns, ended_ns - began_ns, profiler.pss_bytes())
            profiler.running()
            whole_cpu_s = profiler.finish()
        seen = peer.observe(place, truth, Window(profiler.started_ns, began_ns, ended_ns))
        return Measurement(cell, round_number, truth, running, whole_cpu_s, seen)


def measure(cell: Cell, round_number: int, units: int) -> Measurement:
    """One measurement; a profiler that fails is a `failure` in it, not an exception."""
    if cell.peer is None:
        return measure_alone(cell, round_number, units)
    try:
        return measure_watched(cell, cell.peer, round_number, units)
    except ProfilerFailed as failure:
        return Measurement(cell, round_number, failure=str(failure))
