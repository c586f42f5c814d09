"""Ruby on the real kernel, each with a truth from the target's own CPU clock."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from math import sqrt
from pathlib import Path

from tests.support.live.harness import RUBY, assert_split, is_frame_of, record, workload

HZ = 100


def test_split_through_blocks_and_c_functions(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("split.rb", "--cpu-seconds", "6"))
    recorded.accounted()
    assert_split(recorded, recorded.truth["cpu_s"])
    spent_s = sum(recorded.truth["cpu_s"].values())
    assert 0.95 <= sum(recorded.within(name) for name in recorded.truth["cpu_s"]) / (spent_s * HZ) <= 1.05
    deep = recorded.where(lambda stack: sum(is_frame_of(frame, "descend") for frame in stack) == 40)
    assert deep >= 0.99 * sum(recorded.within(name) for name in recorded.truth["cpu_s"])


def test_compiled_methods_keep_their_names(tmp_path: Path) -> None:
    """YJIT compiles them if this Ruby has it; a Ruby without it warns, and interprets them."""
    command = workload("split.rb", "--cpu-seconds", "4")
    recorded = record(tmp_path, "-F", str(HZ), command=command, environment={"RUBYOPT": "--yjit"})
    recorded.accounted()
    assert_split(recorded, recorded.truth["cpu_s"])
    deep = recorded.where(lambda stack: sum(is_frame_of(frame, "descend") for frame in stack) == 40)
    assert deep >= 0.99 * sum(recorded.within(name) for name in recorded.truth["cpu_s"])


def shown(method: str) -> str:
    """A core method's frame: with its place if it is written in Ruby, as Integer#times is from 3.3 on."""
    owner, _, name = method.partition("#")
    program = f"puts {owner}.instance_method(:{name}).source_location&.join(':')"
    told = subprocess.run([RUBY, "-e", program], check=True, capture_output=True, text=True).stdout.strip()
    return f"{method} ({told})" if told else method


def test_blocks_and_c_functions_stand_where_ruby_puts_them(tmp_path: Path) -> None:
    times = shown("Integer#times")
    recorded = record(tmp_path, "-F", str(HZ), command=workload("split.rb", "--cpu-seconds", "4"))
    called = recorded.where(
        lambda stack: any(
            is_frame_of(method, "medium_share") and callee == times for method, callee in pairwise(stack)
        )
    )
    assert called >= 0.95 * recorded.within("medium_share") > 30
    in_block = recorded.where(
        lambda stack: any(
            caller == times and block.startswith("block in Splitter#medium_share (")
            for caller, block in pairwise(stack)
        )
    )
    assert in_block >= 0.2 * called
    in_cfunc = recorded.within("tr") + recorded.within("squeeze")
    assert in_cfunc >= 0.8 * recorded.within("light_share") > 10


def test_garbage_collection_is_on_top_of_who_makes_the_garbage(tmp_path: Path) -> None:
    program = tmp_path / "garbage.rb"
    program.write_text(
        "def work\n"
        "  finish = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) + 4\n"
        "  kept = Array.new(200_000) { +'kept' }\n"
        "  while Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) < finish\n"
        "    kept[rand(200_000)] = +'new'\n"
        "  end\n"
        "end\n"
        "work\n"
        'puts %({"collected_ms": #{GC.stat(:time)}})\n'
    )
    recorded = record(tmp_path, "-F", str(HZ), command=[RUBY, str(program)])
    expected = recorded.truth["collected_ms"] / 1000 * HZ
    collecting = recorded.where(lambda stack: "[gc]" in stack)
    assert abs(collecting - expected) < 4 * sqrt(expected) + 0.05 * expected > 10
    in_work = recorded.where(
        lambda stack: (
            "[gc]" in stack and any(is_frame_of(frame, "work") for frame in stack[: stack.index("[gc]")])
        )
    )
    assert in_work >= 0.9 * collecting


def test_lines_are_those_that_run(tmp_path: Path) -> None:
    program = tmp_path / "lines.rb"
    program.write_text(
        "def work\n"
        "  finish = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) + 2\n"
        "  while Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) < finish\n"
        "    (1..20_000).sum { |number| number & 7 }\n"
        "  end\n"
        "end\n"
        "work\n"
    )
    recorded = record(tmp_path, "-F", str(HZ), "--lines", command=[RUBY, str(program)])
    shown = f"{tmp_path.name}/{program.name}"
    burning = recorded.where(lambda stack: f"Object#work ({shown}:4)" in stack)
    assert burning > 0.9 * recorded.within("work") > 100
    assert any(f"<main> ({shown}:7)" in stack for stack in recorded.stacks)
