"""How long pidflame's eBPF programs run for a sample: as root ``-m tests.bench.depth [PAGE...]``."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from tests.bench.cost import Profiler, ProfilerFailed, process_cpu_ns
from tests.bench.measure import SETTLE_S, wait_until_attached
from tests.bench.page import prose, publish, written_by
from tests.bench.peer import folded
from tests.bench.peers import PIDFLAME
from tests.bench.results import Machine
from tests.bench.table import NONE, NS, markdown, reasons, spread
from tests.bench.targets import PYTHON, RUBY, Target, TargetFailed, Workload
from tests.support.live.harness import WORKLOADS

TITLE = "one sample"
HZ = 200
LOOK_S = 1.5
BURN_S = 60.0
"""More than a look takes: the targets are stopped in the middle of their work."""
MIXED_LIMIT_US, NATIVE_FRAME_LIMIT_US = 40.0, 1.0
SHALLOW, DEEP = 10, 210
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


@dataclass(frozen=True, slots=True)
class Stack:
    """What stands on every CPU while the programs are timed."""

    title: str
    workload: Workload
    depth: int
    arguments: tuple[str, ...] = ("--cpu-seconds", str(BURN_S))
    limit_us: float | None = None


@dataclass(slots=True)
class Timed:
    """Microseconds of one sample, and the frames of most stacks, a number a round; or why there is none."""

    us: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def stacks(native: str) -> list[Stack]:
    """All that are timed; `native` is native_depth.c as a program."""
    plain = Stack("", PYTHON, 0)
    different = (*plain.arguments, "--different")
    through_c = (*plain.arguments, "--through-c")
    alone = Workload("native", "", (native,), ("deep_share",), False, 1)
    ruby = replace(plain, workload=RUBY)
    return [
        replace(plain, title="10 Python frames", depth=10),
        replace(plain, title="60 Python frames, of a function that calls itself", depth=60),
        replace(plain, title="60 Python frames, no two of the same function", depth=60, arguments=different),
        replace(plain, title="500 Python frames, of a function that calls itself", depth=500),
        replace(ruby, title="10 Ruby frames", depth=10),
        replace(ruby, title="60 Ruby frames, of a method that calls itself", depth=60),
        replace(ruby, title="60 Ruby frames, no two of the same method", depth=60, arguments=different),
        Stack("Python and C in turn", PYTHON, MIXED_DEPTH, through_c, MIXED_LIMIT_US),
        Stack(f"{SHALLOW} C frames", alone, SHALLOW, ()),
        Stack(f"{DEEP} C frames", alone, DEEP, ()),
    ]


MIXED_DEPTH = 10
"""Python functions, each below native frames: 60 together, with those that start the interpreter."""


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


def look(stack: Stack, timed: Timed) -> None:
    """Times one sample with such a stack on every CPU. Raises `ProfilerFailed`."""
    with ExitStack() as opened:
        targets = [
            opened.enter_context(Target(stack.workload, *stack.arguments, "--depth", str(stack.depth)))
            for _ in range(os.cpu_count() or 1)
        ]
        for target in targets:
            target.go()
        pids = [target.pid for target in targets]
        place = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pidflame-bench-")))
        only = [word for pid in pids for word in ("-p", str(pid))]
        command = [*PIDFLAME.command(0, HZ, place), "--native", *only]
        profiler = opened.enter_context(Profiler(command, place / "words"))
        wait_until_attached(PIDFLAME, profiler)
        time.sleep(SETTLE_S)
        runs_before, before_ns = program_runs(profiler.tree())
        worked_ns = -sum(map(process_cpu_ns, pids))
        time.sleep(LOOK_S)
        runs, spent_ns = program_runs(profiler.tree())
        worked_ns += sum(map(process_cpu_ns, pids))
        profiler.finish()
        lengths: Counter[int] = Counter()
        for text, count in folded(place / "out.folded"):
            if any(function in text for function in stack.workload.functions):
                lengths[text.count(";")] += count
    if runs == runs_before or not lengths:
        raise ProfilerFailed("no program on a perf event ran, or the target was not sampled")
    # Not every tick of the clock is a sample, but all are runs of the program.
    timed.us.append((spent_ns - before_ns) / 1000 / (worked_ns / NS * HZ))
    timed.frames.append(lengths.most_common(1)[0][0])


def time_all(all_stacks: Sequence[Stack], rounds: int) -> dict[Stack, Timed]:
    """Times each once a round, in another order in each. Raises OSError without eBPF statistics."""
    found = {stack: Timed() for stack in all_stacks}
    chance = random.Random(20)
    with bpf_statistics():
        for _ in range(rounds):
            for stack in chance.sample(all_stacks, len(all_stacks)):
                try:
                    look(stack, found[stack])
                except (ProfilerFailed, TargetFailed) as failure:
                    found[stack].failures.append(str(failure))
    return found


def row(title: str, frames: str, us: Sequence[float], limit_us: float | None, failures: str) -> Sequence[str]:
    """The cells of a line."""
    if limit_us is None:
        return (title, frames, spread(us, 1), NONE, failures or NONE)
    verdict = failures or ("yes" if us and median(us) <= limit_us else "**no**")
    return (title, frames, spread(us, 2), f"{limit_us:g}", verdict)


def table(found: dict[Stack, Timed]) -> str:
    """A row a stack, and one for a native frame: the difference of the two C stacks, a frame."""
    lines = []
    for stack, timed in found.items():
        frames = str(round(median(timed.frames))) if timed.frames else NONE
        lines.append(row(stack.title, frames, timed.us, stack.limit_us, reasons(timed.failures)))
    shallow, deep = (
        next(timed.us for stack, timed in found.items() if stack.title == f"{depth} C frames")
        for depth in (SHALLOW, DEEP)
    )
    each_us = [(much - little) / (DEEP - SHALLOW) for little, much in zip(shallow, deep, strict=False)]
    lines.append(row("one C frame more", "1", each_us, NATIVE_FRAME_LIMIT_US, ""))
    return markdown(("the eBPF program takes, for", "frames in all", "µs", "at most", "kept"), lines)


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        native = f"{folder}/native_depth"
        source = WORKLOADS / "native_depth.c"
        subprocess.run(["gcc", "-O2", "-fomit-frame-pointer", "-o", native, source], check=True)
        explanation = prose(f"""
            Median (least to most) of {arguments.rounds} rounds at {HZ} Hz: the time in which eBPF programs
            ran at the ticks of the clock, also at those that are no samples, by samples. *Frames in all*
            counts native ones, too.""")
        timed = table(time_all(stacks(native), arguments.rounds))
    text = f"{written_by('tests.bench.depth docs/BENCHMARKS.md', Machine())}\n{explanation}\n\n{timed}"
    publish({TITLE: text}, arguments.pages)


if __name__ == "__main__":
    main()
