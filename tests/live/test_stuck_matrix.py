"""Targets that are stuck in every way that could be built: neither the recording nor others notice.

docs/STUCK.md lists what can be stuck. Each test has many stuck targets at once, which burn little CPU
inside of a C function, and a healthy sibling of each language that burns much.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.live.harness import PIDFLAME, Recorded, Recording, target, workload
from tests.support.live.stuck import (
    PYTHON_PARTS,
    RUBY_PARTS,
    Place,
    Stuck,
    Watch,
    build_library,
    not_stuck,
    of_stuck_executable,
    on_file,
    on_userfault,
    under_mmap_lock,
)
from tests.support.process.session_priority import set_session_priority
from tests.support.process.targets import children_of

HZ = 1000
DURATION_S = 12.0
SIBLING_CPU_S = "5"
"""It gives samples with a random error (sigma) of 1.4 %, where there are more programs than CPUs."""
TOLERANCE = 0.05
LATE_S = 1.0
"""How long after its duration a recording may end, on a machine as loaded as this test makes it. Who waited
for a stuck target would be late by minutes."""
NS = 1_000_000_000
PAGES = [("python", part) for part in PYTHON_PARTS] + [("ruby", part) for part in RUBY_PARTS]
LINES = "lines"
"""Where these are stuck nothing else is lacking, mostly: the name was taken at the interrupt."""
SESSION_PRIORITY = -5
"""Gives the siblings their CPU time even where the machine has other things to do. See sched(7)."""


@dataclass(frozen=True)
class Outcome:
    """A recording beside stuck targets, and how late it ended (s); CPU seconds meanwhile by pid."""

    recorded: Recorded
    late_s: float
    cpu_s: dict[int, float]
    stopped: set[int]

    def row(self, stuck: Stuck) -> dict[str, Any]:
        """What ``--stats`` says about one process."""
        (row,) = [row for row in self.recorded.stats["per_process"] if row["pid"] == stuck.pid]
        return dict(row)


def record_beside(
    folder: Path,
    stuck: Sequence[Stuck],
    meanwhile: Callable[[], None] = lambda: None,
    options: Sequence[str] = (),
) -> Outcome:
    """Records the machine while the siblings burn, and holds what it saw of them against their truth."""
    healthy = [workload(f"split.{suffix}", "--cpu-seconds", SIBLING_CPU_S) for suffix in ("py", "rb")]
    with target("setsid", *healthy[0]) as python, target("setsid", *healthy[1]) as ruby:
        for sibling in (python, ruby):
            set_session_priority(sibling.process.pid, SESSION_PRIORITY)
        watch = Watch([each.pid for each in stuck])
        recording = Recording(folder, ["-F", str(HZ), "-d", str(DURATION_S), "--lines", *options])
        began_s = time.monotonic()
        before_s = {each.pid: each.cpu_s() for each in stuck}
        python.go()
        ruby.go()
        meanwhile()
        truths = {"python3": python.truth(), "ruby": ruby.truth()}
        assert time.monotonic() < began_s + DURATION_S, f"too busy a machine, load {os.getloadavg()[0]}"
        recorded = recording.wait()
        late_s = time.monotonic() - began_s - DURATION_S
        cpu_s = {each.pid: each.cpu_s() - before_s[each.pid] for each in stuck}
        stopped = watch.end()
    assert recorded.exit_code == 0
    assert watch.looks > DURATION_S
    recorded.accounted()
    for name, truth in truths.items():
        root = f"{name} ({truth['pids'][0]})"
        samples = sum(recorded.within(function, root=root) for function in truth["cpu_s"])
        expected = sum(truth["cpu_s"].values()) * HZ
        rows = [row for row in recorded.stats["per_process"] if row["process"] == root]
        assert abs(samples / expected - 1) <= TOLERANCE, (samples, truth, rows, recorded.said)
    return Outcome(recorded, late_s, cpu_s, stopped)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library in which stuck targets wait and burn."""
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def place(library: Path, tmp_path: Path) -> Place:
    """Where the stuck targets of one test live."""
    return Place(library, tmp_path)


def assert_lost(outcome: Outcome, stuck: Stuck, reason: str) -> None:
    """Its samples are as many as its CPU time, nearly all are counted as lost, and none was made up."""
    row, cpu_s = outcome.row(stuck), outcome.cpu_s[stuck.pid]
    assert_samples_of(cpu_s, row["samples"])
    assert row["dropped"].get(reason, 0) >= 0.9 * row["samples"] - 1, (stuck.name, row)
    root = f"({stuck.pid})"
    made_up = outcome.recorded.where(
        lambda stack: stack[0].endswith(root) and any("stuck_burner" in frame for frame in stack)
    )
    assert made_up == 0, stuck.name


def assert_without_lines(outcome: Outcome, stuck: Stuck) -> None:
    """The function whose line table is stuck shows none, or its samples are counted as lost."""
    row, root = outcome.row(stuck), f"({stuck.pid})"
    assert_samples_of(outcome.cpu_s[stuck.pid], row["samples"])
    lost = sum(row[kind].get("would_fault", 0) for kind in ("dropped", "partial"))
    assert row["symbolized"] + lost >= 0.9 * row["samples"] - 1, (stuck.name, row)
    stacks = {stack: count for stack, count in outcome.recorded.stacks.items() if stack[0].endswith(root)}
    shown = {frame for stack in stacks for frame in stack if "stuck_burner" in frame}
    assert len(shown) == (lost < 0.9 * row["samples"] - 1), (stuck.name, shown, row)
    assert all(re.search(r"\(.*stuck_made\.(py|rb)\)$", frame) for frame in shown), (stuck.name, shown)


@pytest.mark.parametrize("stuck_on", [on_userfault, on_file], ids=["userfaultfd", "fuse"])
def test_pages_that_do_not_come(place: Place, stuck_on: Any) -> None:
    with ExitStack() as stack:
        stuck = [stack.enter_context(stuck_on(place, *each)) for each in PAGES]
        outcome = record_beside(place.folder, stuck)
        for each, (_, part) in zip(stuck, PAGES, strict=True):
            if part == LINES:
                assert_without_lines(outcome, each)
            else:
                assert_lost(outcome, each, "would_fault")
        took_s = {each.name: each.goes_on_s() for each in stuck}
    assert outcome.late_s <= LATE_S
    assert not outcome.stopped
    assert max(took_s.values()) < 2.0, took_s


@pytest.mark.parametrize("stuck_on", [on_userfault, on_file], ids=["userfaultfd", "fuse"])
def test_the_rest_of_a_stuck_stack_can_be_kept(place: Place, stuck_on: Any) -> None:
    with ExitStack() as stack:
        stuck = [stack.enter_context(stuck_on(place, *each)) for each in PAGES]
        outcome = record_beside(place.folder, stuck, options=["--keep-partial"])
        for each, (_, part) in zip(stuck, PAGES, strict=True):
            if part == LINES:
                assert_without_lines(outcome, each)
            else:
                assert_kept(outcome, each, part)
    assert outcome.late_s <= LATE_S


def assert_kept(outcome: Outcome, stuck: Stuck, part: str) -> None:
    """A marker stands in the place of what does not come, and the other frames are shown."""
    row, root = outcome.row(stuck), f"({stuck.pid})"
    stacks = {stack: count for stack, count in outcome.recorded.stacks.items() if stack[0].endswith(root)}
    assert sum(stacks.values()) == row["samples"], (stuck.name, row)
    kept = sum(
        count for stack, count in stacks.items() if "[would fault]" in stack and is_rest_shown(stack, part)
    )
    assert kept >= 0.9 * row["samples"] - 1, (stuck.name, row, stacks)
    assert row["partial"]["would_fault"] >= kept
    assert not any("stuck_burner" in frame for stack in stacks for frame in stack), (stuck.name, stacks)


def is_rest_shown(stack: Sequence[str], part: str) -> bool:
    """Whether it has what can be read: the callers if only the leaf's name is stuck, else native frames."""
    rest = [frame for frame in stack[1:] if frame != "[would fault]"]
    if part == "name":
        return any(".py:" in frame or ".rb:" in frame for frame in rest)
    return bool(rest)


def test_locks_files_and_stops(place: Place) -> None:
    with ExitStack() as stack:
        locked, frozen, stopped, fifo = (
            [stack.enter_context(make(language)) for language in ("python", "ruby")]
            for make in (
                partial(under_mmap_lock, place),
                partial(of_stuck_executable, place),
                partial(not_stuck, place),
                partial(not_stuck, place, perf_map=True),
            )
        )
        for each in locked:
            assert_lock_is_held(each)

        def stop() -> None:
            time.sleep(DURATION_S / 2)
            for each in stopped:
                os.kill(each.pid, signal.SIGSTOP)

        outcome = record_beside(place.folder, [*locked, *frozen, *stopped, *fifo], stop)
        for each in (*locked, *frozen):
            assert_lost(outcome, each, "stalled")
        for each in (*stopped, *fifo):
            assert_named(outcome, each)
        for each in stopped:
            os.kill(each.pid, signal.SIGCONT)
        took_s = {each.name: each.goes_on_s() for each in (*locked, *frozen, *stopped, *fifo)}
    assert outcome.late_s <= LATE_S
    assert outcome.stopped == {each.pid for each in stopped}
    assert max(took_s.values()) < 2.0, took_s


def assert_lock_is_held(stuck: Stuck) -> None:
    """A reader of its maps waits, which proves that this target holds its mmap lock."""
    reader = subprocess.Popen(["cat", f"/proc/{stuck.pid}/maps"], stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(timeout=1.0)
    finally:
        reader.kill()
        reader.wait()


def assert_named(outcome: Outcome, stuck: Stuck) -> None:
    """Its samples are all there, under their names."""
    row, cpu_s = outcome.row(stuck), outcome.cpu_s[stuck.pid]
    named = outcome.recorded.where(
        lambda stack: stack[0].endswith(f"({stuck.pid})") and any("stuck_burner" in frame for frame in stack)
    )
    assert_samples_of(cpu_s, row["samples"])
    assert named >= 0.9 * row["samples"] - 1, (stuck.name, row)


def assert_samples_of(cpu_s: float, samples: int) -> None:
    """`samples` fit that CPU time, which came in short turns, within 4 sigma."""
    assert cpu_s * HZ > 5
    assert abs(samples - cpu_s * HZ) <= 4 * math.sqrt(cpu_s * HZ), (samples, cpu_s)


def test_control_c_while_the_worker_is_stuck(place: Place) -> None:
    with of_stuck_executable(place, "python"):
        recording = Recording(place.folder, ["-F", str(HZ)])
        wait_for_worker_that_waits(recording.process.pid)
        began_s = time.monotonic()
        recorded = recording.finish()
        took_s = time.monotonic() - began_s
    assert recorded.exit_code == 0
    recorded.accounted()
    assert took_s < 2.0


@pytest.mark.parametrize("after_s", [0.3, 0.5, 0.7, 1.0, 2.0])
def test_control_c_at_any_moment(place: Place, after_s: float) -> None:
    """While the sampler is loaded, while processes are looked at, and later; the files are written."""
    output = place.folder / "out.folded"
    with of_stuck_executable(place, "python"), under_mmap_lock(place, "ruby"):
        with subprocess.Popen(
            [PIDFLAME, "record", "-o", output], stderr=subprocess.PIPE, text=True
        ) as running:
            assert running.stderr is not None
            time.sleep(after_s)
            running.send_signal(signal.SIGINT)
            began_s = time.monotonic()
            said = running.stderr.read()
            assert running.wait(timeout=30) == 0, said
            assert time.monotonic() - began_s < 2.0
        assert output.exists()
        assert said.strip().splitlines()[-1].endswith(" lost")


def wait_for_worker_that_waits(pid: int) -> None:
    """Returns once a child of `pid` is in D state: it waits for a file system, and can't even be killed."""
    end_s = time.monotonic() + 20.0
    while time.monotonic() < end_s:
        for child in children_of(pid):
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "D":
                return
        time.sleep(0.001)
    raise AssertionError("no worker was ever stuck")
