"""Code that is seen for the first time: what it costs to name it, and how often it wakes the profiler."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from profiler.capture.kernel_source import KernelSource
from profiler.capture.records import CodeName, RawSample, Repeated
from profiler.capture.source import Sampling
from symbolizers.process.identity import open_process
from symbolizers.process.usage import run_time_of
from tests.bench.depth import bpf_statistics, program_runs
from tests.support.live.harness import RUBY, Recording
from tests.support.python_walk import find_python

HZ = 100
LOOK_S = 3.0
DRAIN_S = 0.5
"""As often as this the ring is drained, as in a recording: it has room for a second or so."""
PROCESSES = 30
PATIENCE_S = 30.0
DEPTH = 30
"""Functions that call each other: fewer than are named at one interrupt."""
MOST_US = 3.0
THREAD_S = 0.1
THREADS = f"""
import threading, time
def burn():
    end = time.monotonic() + {THREAD_S}
    while time.monotonic() < end: pass
print("ready", flush=True)
while True:
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
"""
PYTHON = r"""
import sys, time
fresh = sys.argv[1] == "fresh"

def chain(number):
    names = [f"function_{number}_{depth}" for depth in range(DEPTH)]
    pairs = zip(names, [*names[1:], "burn"])
    lines = [f"def {name}(end):\n    return {called}(end)" for name, called in pairs]
    namespace = {"burn": burn}
    exec("\n".join(lines), namespace)
    return namespace[names[0]]

def burn(end):
    while time.monotonic() < end:
        pass

run = chain(0)
print("ready", flush=True)
for number in range(1, 10**6):
    run = chain(number) if fresh else run
    run(time.monotonic() + 0.02)
"""
RUBY_PROGRAM = r"""
fresh = ARGV[0] == "fresh"

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

def burn(finish)
  nil while now < finish
end

def chain(number)
  names = Array.new(DEPTH) { |depth| "method_#{number}_#{depth}" }
  lines = names.zip([*names.drop(1), "burn"]).map { |name, called| "def #{name}(finish) = #{called}(finish)" }
  eval(lines.join("\n"), TOPLEVEL_BINDING, "chain_#{number}.rb")
  names.first
end

run = chain(0)
(1..).each do |number|
  run = chain(number) if fresh
  send(run, now + 0.02)
end
"""


def run_us(folder: Path, command: list[str]) -> float:
    """Microseconds that the eBPF program takes for a sample of `command`: others cost next to nothing."""
    folder.mkdir()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as target:
        try:
            recording = Recording(folder, ["-F", str(HZ), "-p", str(target.pid)])
            time.sleep(LOOK_S)
            _, spent_ns = program_runs([recording.process.pid])
            recorded = recording.finish()
        finally:
            target.kill()
    recorded.accounted()
    assert recorded.stats["samples"] > HZ
    assert recorded.stats["symbolized"] >= 0.97 * recorded.stats["samples"], recorded.said
    return spent_ns / recorded.stats["samples"] / 1000


@pytest.mark.parametrize(
    ("interpreter", "program"), [(sys.executable, PYTHON), (RUBY, RUBY_PROGRAM)], ids=["python", "ruby"]
)
def test_a_name_costs_three_microseconds_at_most(tmp_path: Path, interpreter: str, program: str) -> None:
    file = tmp_path / "chain"
    file.write_text(program.replace("DEPTH", str(DEPTH)))
    with bpf_statistics():
        known, fresh = (
            run_us(tmp_path / kind, [interpreter, str(file), kind]) for kind in ("known", "fresh")
        )
    assert 0.05 < (fresh - known) / DEPTH < MOST_US, (known, fresh)


class Looks(NamedTuple):
    """How often the profiler was woken while it took in so many samples and names."""

    wakes: int
    samples: int
    names: int
    due: float
    """The samples that are due for the CPU time which the processes spent."""

    def check_samples(self) -> None:
        assert self.samples > HZ
        assert 0.8 < self.samples / self.due < 1.2


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds that the processes have spent."""
    return sum(run_time_of(pid)[0] for pid in pids) / 1e9


def looks(command: Sequence[str], *, lines: bool = False, threads: bool = False, processes: int = 1) -> Looks:
    """What happens while `command` runs, once what takes names is loaded; it says when it is ready."""
    wakes = samples = names = 0
    with ExitStack() as stack:
        targets = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for _ in range(processes)
        ]
        for target in targets:
            stack.callback(target.kill)
            assert target.stdout is not None
            assert target.stdout.readline() == "ready\n"
        pids = tuple(target.pid for target in targets)
        source = stack.enter_context(closing(KernelSource(Sampling(HZ, pids, lines=lines, threads=threads))))
        source.load()
        for pid in pids:
            with open_process(pid) as handle:
                source.configure(pid, handle.id.start_ns(), [find_python(handle)[1]], user=0)
        source.start()
        source.complete()
        patience_s = time.monotonic() + PATIENCE_S
        while not names:  # before, what takes names is not loaded
            assert time.monotonic() < patience_s
            time.sleep(0.02)
            names = sum(isinstance(record, CodeName) for record in source.drain())
        began_s, end_s = cpu_s(pids), time.monotonic() + LOOK_S
        while (left_s := end_s - time.monotonic()) > 0:
            ready, _, _ = select.select([source], [], [], min(left_s, DRAIN_S))
            wakes += bool(ready)
            records = source.drain()
            samples += sum(isinstance(record, RawSample) for record in records)
            samples += sum(len(record.taken) for record in records if isinstance(record, Repeated))
            names += sum(isinstance(record, CodeName) for record in records)
        due = (cpu_s(pids) - began_s) * HZ
    return Looks(wakes, samples, names, due)


@pytest.mark.parametrize(
    ("lines", "path", "is_read"),
    [(True, "short", True), (False, "short", False), (False, "long" * 50, True)],
    ids=["lines", "named", "long path"],
)
def test_code_that_is_to_be_read_wakes_the_profiler_within_a_budget(
    tmp_path: Path, lines: bool, path: str, is_read: bool
) -> None:
    """Each sample has new code in it, and none may have the profiler run in step with it.

    Lines are to be read, and what the kernel does not take of a name.
    """
    file = tmp_path / "chain"
    compiled = f"compile('\\n'.join(lines), {path!r}, 'exec')"
    file.write_text(PYTHON.replace("DEPTH", str(DEPTH)).replace(r'"\n".join(lines)', compiled))
    looked = looks([sys.executable, str(file), "fresh"], lines=lines)
    looked.check_samples()
    assert looked.names > 5 * looked.samples
    assert 10 < looked.wakes < looked.samples / 2 if is_read else looked.wakes < 10


def test_processes_that_run_already_do_not_wake_the_profiler_one_by_one(tmp_path: Path) -> None:
    """They were looked into when sampling began."""
    file = tmp_path / "chain"
    file.write_text(PYTHON.replace("DEPTH", str(DEPTH)))
    looked = looks([sys.executable, str(file), "known"], processes=PROCESSES)
    assert looked.names > PROCESSES * DEPTH / 2
    assert looked.wakes < PROCESSES / 2


@pytest.mark.parametrize("threads", [True, False])
def test_a_thread_whose_name_is_wanted_wakes_the_profiler_when_it_is_new(
    tmp_path: Path, threads: bool
) -> None:
    """All threads run the same code, each for so short a time that nobody sees it who looks now and then."""
    file = tmp_path / "threads"
    file.write_text(THREADS)
    looked = looks([sys.executable, str(file)], threads=threads)
    looked.check_samples()
    assert LOOK_S / THREAD_S / 2 < looked.wakes < looked.samples / 2 if threads else looked.wakes < 10
