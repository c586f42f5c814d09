"""One measurement: one target's fixed work under one profiler (or none) at one rate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import peers, targets
from tests.bench.cost import Profiler, ProfilerFailed
from tests.bench.peer import SCRIPT, Observation, Peer, Window
from tests.bench.targets import Target, TargetFailed, Truth, work_of

ATTACH_PATIENCE_S = 30.0
SETTLE_S = 2.0
"""From attachment to the target's work, so that the cost of starting does not count as one of running."""
POLL_S = 0.1
"""Each look costs the machine as much as a profiler does."""
NOBODY = "nobody"
NOTHING_DONE = Truth((), {}, 0.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured together, by name: its measurements of all rounds are one row of the table."""

    workload: str
    profiler: str
    """Or `NOBODY`."""
    hz: int


@dataclass(frozen=True, slots=True)
class Cost:
    """A profiler's, by its cgroup: of it, and of all that it started."""

    running_cpu_ns: int
    """While the target worked, apart from its start and its end."""
    running_ns: int
    recording_cpu_ns: int
    """From its start to its exit."""
    whole_cpu_ns: int
    """With what makes stacks of the recording, where that is another program."""
    most_pss_bytes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a profiler did is absent where none ran; `failure` says why one gave nothing."""

    cell: Cell
    round: int
    truth: Truth | None = None
    """Without pids."""
    cost: Cost | None = None
    seen: Observation | None = None
    cold_s: float | None = None
    """To the first sample, where earlier runs have kept nothing."""
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
    with work_of(targets.BY_NAME[cell.workload], units) as target:
        target.go()
        return Measurement(cell, round_number, replace(target.truth(), pids=()))


def cold_start_s(peer: Peer, target: Target, hz: int, place: Path) -> float | None:
    """Seconds to the first sample without what earlier runs have kept. Raises `ProfilerFailed`."""
    command = peer.cold(peer.command(target.pid, hz, place))
    if not command:
        return None
    with Profiler(command, place / "cold words") as profiler:
        wait_until_attached(peer, profiler)
        time.sleep(SETTLE_S)
        profiler.running()
        profiler.finish(peer.interrupted)
        now_ns = time.monotonic_ns()
        seen = peer.observe(
            place, profiler.words(), NOTHING_DONE, Window(profiler.started_ns, now_ns, now_ns)
        )
    return seen.first_sample_s


def measure_watched(cell: Cell, round_number: int, units: int, *, cold: bool) -> Measurement:
    """The target's work under a profiler that starts while the target warms up, and ends after its work."""
    peer = peers.BY_NAME[cell.profiler]
    with (
        tempfile.TemporaryDirectory(prefix="pidflame-bench-") as directory,
        work_of(targets.BY_NAME[cell.workload], units) as target,
    ):
        place = Path(directory)
        cold_s = cold_start_s(peer, target, cell.hz, place) if cold else None
        with Profiler(peer.command(target.pid, cell.hz, place), place / "words") as profiler:
            wait_until_attached(peer, profiler)
            time.sleep(SETTLE_S)
            before_ns = profiler.cpu_ns()
            began_ns = time.monotonic_ns()
            target.go()
            truth = target.truth()
            ended_ns = time.monotonic_ns()
            running_ns = profiler.cpu_ns() - before_ns
            profiler.running()
            profiler.finish(peer.interrupted)
            recording_ns = profiler.cpu_ns()
            if script := peer.script(place):
                profiler.afterwards(script, place / SCRIPT)
            window = Window(profiler.started_ns, began_ns, ended_ns)
            whole_ns, pss_bytes = profiler.cpu_ns(), profiler.most_pss_bytes()
            words = profiler.words()
        cost = Cost(running_ns, ended_ns - began_ns, recording_ns, whole_ns, pss_bytes)
        seen = peer.observe(place, words, truth, window)
        return Measurement(cell, round_number, replace(truth, pids=()), cost, seen, cold_s)


def measure(cell: Cell, round_number: int, units: int, colds: Sequence[Cell]) -> Measurement:
    """One measurement; a profiler or a target that fails is a `failure` in it, not an exception.

    `colds` are the cells that a start without earlier runs' cache is measured for, too.
    """
    try:
        if cell.profiler == NOBODY:
            return measure_alone(cell, round_number, units)
        return measure_watched(cell, round_number, units, cold=cell in colds)
    except (ProfilerFailed, TargetFailed, OSError) as failure:
        return Measurement(cell, round_number, failure=str(failure))
