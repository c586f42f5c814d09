"""How long pidflame's eBPF program runs at an interrupt, by the depth of the stack that it finds."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost import Profiler, ProfilerFailed
from tests.bench.measure import SETTLE_S, wait_until_attached
from tests.bench.peers import Pidflame
from tests.bench.targets import PYTHON, RUBY, Target, Workload

Cell = tuple[Workload, int, bool]
CELLS: tuple[Cell, ...] = tuple(
    (workload, depth, different)
    for workload in (PYTHON, RUBY)
    for depth, different in ((10, False), (60, False), (60, True), (200, False), (500, False))
)
"""A workload, how deep it stands, and whether each frame is of another function: none calls itself."""
HZ = 200
LOOK_S = 1.5
BURN_S = 60.0
"""More than a look takes: the targets are stopped in the middle of their work."""
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_ENABLE_STATS = 32
"""bpf(2): the kernel keeps run counts and run times for as long as the descriptor is open (Linux 5.8)."""


@dataclass(frozen=True, slots=True)
class DepthRow:
    """Microseconds of one run of the program, a number a round; `failures` for the rounds without one."""

    workload: Workload
    depth: int
    different: bool
    run_us: tuple[float, ...]
    failures: tuple[str, ...]


@contextmanager
def bpf_statistics() -> Iterator[None]:
    """Have the kernel time eBPF programs inside the block. Raises `OSError` where it will not."""
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(f"the bpf system call's number on {platform.machine()} is not known here")
    run_time_statistics = ctypes.create_string_buffer(128)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(number, BPF_ENABLE_STATS, run_time_statistics, len(run_time_statistics))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        os.close(descriptor)


def program_runs(pids: Iterable[int]) -> tuple[int, int]:
    """Runs so far, and nanoseconds in them, of the eBPF programs on perf events that the processes hold."""
    programs: dict[str, tuple[int, int]] = {}
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            try:
                lines = entry.read_text().splitlines()
            except FileNotFoundError:  # closed since it was listed
                continue
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if "run_cnt" in fields:
                programs[fields["prog_id"]] = (int(fields["run_cnt"]), int(fields["run_time_ns"]))
    return sum(runs for runs, _ in programs.values()), sum(spent_ns for _, spent_ns in programs.values())


def look(workload: Workload, depth: int, different: bool) -> float:
    """Microseconds a run, with such a stack on every CPU. Raises `ProfilerFailed`."""
    peer = Pidflame()
    arguments = ["--cpu-seconds", str(BURN_S), "--depth", str(depth), *["--different"][: int(different)]]
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            stack.enter_context(Target(workload, *arguments)).go()
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pidflame-bench-")))
        profiler = stack.enter_context(Profiler(peer.command(0, HZ, place), place / "words"))
        wait_until_attached(peer, profiler)
        time.sleep(SETTLE_S)
        runs_before, before_ns = program_runs(profiler.tree())
        time.sleep(LOOK_S)
        runs, spent_ns = program_runs(profiler.tree())
        profiler.finish()
    if runs == runs_before:
        raise ProfilerFailed("no program on a perf event ran")
    return (spent_ns - before_ns) / (runs - runs_before) / 1000


def measure_depths(rounds: int) -> list[DepthRow]:
    """A row for every depth; the depths are gone through in another order each round."""
    run_us: dict[Cell, list[float]] = {cell: [] for cell in CELLS}
    failures: dict[Cell, list[str]] = {cell: [] for cell in CELLS}
    chance = random.Random(20)
    try:
        with bpf_statistics():
            for _ in range(rounds):
                for cell in chance.sample(CELLS, len(CELLS)):
                    try:
                        run_us[cell].append(look(*cell))
                    except ProfilerFailed as failure:
                        failures[cell].append(str(failure))
    except OSError as refusal:
        failures = {cell: [f"the kernel keeps no eBPF statistics: {refusal}"] for cell in CELLS}
    return [DepthRow(*cell, tuple(run_us[cell]), tuple(failures[cell])) for cell in CELLS]
