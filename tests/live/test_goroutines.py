"""Go programs: a goroutine's stack goes on below what ran on the thread's own stack."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.test_whole_stacks import HZ, MOST_CUT, in_order, of
from tests.support.live.harness import WORKLOADS, Recorded, record

SOURCE = WORKLOADS / "goroutines.go"
Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    def built(*options: str) -> Path:
        program = tmp_path_factory.mktemp("go") / "goroutines"
        subprocess.run(["go", "build", "-o", str(program), *options, str(SOURCE)], check=True)
        return program

    return built


def recorded_twice(program: Path, folder: Path) -> Recorded:
    """The second recording of `program`: it has the tables that the first has made."""
    record(folder, "-F", str(HZ), command=[str(program), "0.5"])
    return record(folder, "-F", str(HZ), command=[str(program), "2.5"])


def assert_whole(recorded: Recorded) -> None:
    recorded.accounted()
    ends = recorded.stats["native_stacks"]
    assert ends["root"] > HZ
    assert sum(ends.values()) - ends["root"] <= 0.1 * MOST_CUT + 0.01 * ends["root"], ends


def cut(recorded: Recorded, lacks: Callable[[list[str]], bool]) -> int:
    """Samples that lack frames and had a table: without one, the frame pointer can skip a caller."""
    ends = recorded.stats["native_stacks"]
    found = 0
    for stack, count in recorded.stacks.items():
        found += count if lacks([frame.partition(" (")[0] for frame in stack]) else 0
    return max(found - (sum(ends.values()) - ends["root"]), 0)


def test_a_goroutine_goes_on_below_what_ran_on_the_threads_stack(build: Build, tmp_path: Path) -> None:
    recorded = recorded_twice(build(), tmp_path)
    assert_whole(recorded)
    grown = ("runtime.goexit.abi0", "main.root", "main.grow", "runtime.morestack.abi0", "runtime.copystack")
    main = ("runtime.goexit.abi0", "runtime.main", "main.main")
    in_c = (*main, "runtime.cgocall", "runtime.asmcgocall.abi0")
    paths = {
        "runtime.copystack": grown,
        "runtime.asmcgocall.abi0": in_c,
        "runtime.cgocallback.abi0": (*main, "runtime.cgocall", "runtime.cgocallback.abi0"),
        "main.allocate": (*main, "main.allocate"),
    }
    for function, path in paths.items():
        found = {stack: count for stack, count in recorded.stacks.items() if of(function, stack)}
        below = sum(count for stack, count in found.items() if in_order(stack, path))
        print(function, below, sum(found.values()))
        assert below > 0.99 * sum(found.values()) - 2, next(
            each for each in found if not in_order(each, path)
        )
        assert below > 5
    assert cut(recorded, lambda stack: "main.spin" in stack and stack.count("main.deep") not in (0, 21)) == 0
    assert cut(recorded, lambda stack: stack[1] == "runtime.systemstack.abi0") == 0


@pytest.mark.parametrize("options", [("-ldflags=-s -w",), ("-buildmode=pie", "-ldflags=-s -w")], ids=" ".join)
def test_a_stripped_program_has_whole_stacks(build: Build, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert_whole(recorded_twice(build(*options), tmp_path))
