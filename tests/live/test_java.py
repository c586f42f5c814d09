"""Java without -XX:+PreserveFramePointer: whole stacks of compiled, interpreted and native code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.live.harness import WORKLOADS, Recorded, record

HZ = 199
SECONDS = 8
MOST_CUT = 0.3 * HZ
"""The samples of the first moments, until the table of its code is there."""
COMPILED, FIB, PACK = (f"Calls.{name}(" for name in ("compiled", "fib", "pack"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run(["javac", "-d", str(folder), str(WORKLOADS / "Calls.java")], check=True)
    return folder


def run(folder: Path, classes: Path, *options: str, words: Sequence[str] = ()) -> Recorded:
    command = ["java", *options, "-cp", str(classes), "Calls", str(SECONDS), *words]
    recorded = record(folder, "-F", str(HZ), command=command)
    recorded.accounted()
    for number in {stack[0].rpartition("(")[2].rstrip(")") for stack in recorded.stacks}:
        Path(f"/tmp/perf-{number}.map").unlink(missing_ok=True)
    return recorded


def assert_whole(recorded: Recorded) -> None:
    ends = recorded.stats["native_stacks"]
    print(ends)
    total = sum(ends.values())
    assert total > 2 * HZ
    assert total - ends["root"] <= MOST_CUT + 0.01 * total


def places(stack: tuple[str, ...], part: str) -> list[int]:
    return [at for at, frame in enumerate(stack) if part in frame]


def test_compiled_interpreted_and_native_code_are_where_they_were_called(
    classes: Path, tmp_path: Path
) -> None:
    exclude = "-XX:CompileCommand=exclude,Calls.interpreted"
    recorded = run(tmp_path, classes, "-XX:-Inline", exclude, words=["map"])
    assert_whole(recorded)
    calculating = right = packing = whole = 0
    for stack, count in recorded.stacks.items():
        fibs = places(stack, FIB)
        if fibs:
            called = [at for at in places(stack, "Interpreter") if at == fibs[0] - 1]
            compiled = [at for at in places(stack, COMPILED) if called and at == called[0] - 1]
            calculating += count
            right += count * bool(compiled and fibs == [*range(fibs[0], fibs[0] + len(fibs))])
        if any("(libz.so" in frame or "[libz.so" in frame for frame in stack):
            packing += count
            whole += count * (bool(places(stack, PACK)) and places(stack, "JavaMain") != [])
    print(calculating, right, packing, whole)
    assert min(calculating, packing) > 0.5 * HZ
    assert right >= 0.95 * calculating - MOST_CUT
    assert whole >= 0.95 * packing - MOST_CUT


@pytest.mark.parametrize("option", ["-Xint", "-XX:TieredStopAtLevel=1", "-XX:-TieredCompilation"])
def test_each_of_its_compilers_has_whole_stacks(classes: Path, tmp_path: Path, option: str) -> None:
    assert_whole(run(tmp_path, classes, option))


def test_frame_pointers_that_it_keeps_lead_on(classes: Path, tmp_path: Path) -> None:
    assert_whole(run(tmp_path, classes, "-XX:+PreserveFramePointer"))
