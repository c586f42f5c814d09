"""Generated code: it has the names that its runtime gives, in whole stacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.interpreters.at_hand import Python, pythons_of_the_machine
from tests.support.live.harness import WORKLOADS, Recorded, assert_shares, is_frame_of, record

HZ = 199
MOST_CUT = 0.3 * HZ
"""The samples of the first moments, until the unwind tables of its files are there."""
HEAVY, LIGHT = "heavy (heavy/index.js:7)_[j]", "light_jit_[j]"
FIRST_WITH_TRAMPOLINES = (3, 12)
TRAMPOLINES = """\
import json, os
def leaf(end):
    while os.times()[0] < end: sum(range(99))
def middle(end):
    [leaf(limit) for limit in sorted([end], key=lambda each: each)]
def root():
    middle(os.times()[0] + 2)
root()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("jit") / "jit"
    subprocess.run(["gcc", "-O2", str(WORKLOADS / "jit.c"), "-o", str(built)], check=True)
    return built


def of_jit(recorded: Recorded) -> dict[tuple[str, ...], int]:
    """The stacks in user code."""
    stacks = {stack: count for stack, count in recorded.stacks.items() if stack[0].startswith("jit (")}
    return {stack: count for stack, count in stacks.items() if "main (jit)" in stack}


@pytest.mark.parametrize("how", ["map", "dump"])
def test_functions_have_the_names_of_the_map_between_native_frames(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [str(program), "4", *(["dump"] * (how == "dump"))]
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    stacks = of_jit(recorded)
    counts = {
        "heavy": sum(count for stack, count in stacks.items() if HEAVY in stack),
        "light_jit": sum(count for stack, count in stacks.items() if LIGHT in stack),
    }
    assert_shares(counts, recorded.truth)
    generated = {stack: count for stack, count in stacks.items() if HEAVY in stack or LIGHT in stack}
    cut = sum(count for stack, count in generated.items() if not stack[1].startswith("_start ("))
    assert cut <= MOST_CUT, generated
    called = {stack[stack.index("main (jit)") + 1 :] for stack in generated}
    assert {tuple(frame for frame in each if not frame.endswith("_[k]")) for each in called} == {
        (HEAVY,),
        (LIGHT,),
    }


def test_without_a_map_it_is_one_frame_and_a_note_says_so(program: Path, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "1", "silent"])
    recorded.accounted()
    stacks = of_jit(recorded)
    whole = sum(count for stack, count in stacks.items() if stack[-2:] == ("main (jit)", "[jit]"))
    assert whole > 0.5 * HZ, recorded.said
    assert not any(frame.endswith("_[j]") for stack in stacks for frame in stack)
    assert "in code that a runtime has generated, without names" in recorded.said


@pytest.mark.parametrize(
    "python",
    [each for each in pythons_of_the_machine() if each.version >= FIRST_WITH_TRAMPOLINES],
    ids=lambda python: python.name,
)
def test_trampolines_of_an_interpreter_do_not_show(python: Python, tmp_path: Path) -> None:
    source = tmp_path / "trampolines.py"
    source.write_text(TRAMPOLINES)
    recorded = record(tmp_path, "-F", str(HZ), command=[python.program, "-X", "perf", str(source)])
    for number in {stack[0].rpartition("(")[2].rstrip(")") for stack in recorded.stacks}:
        Path(f"/tmp/perf-{number}.map").unlink(missing_ok=True)
    recorded.accounted()
    burning = {
        stack: count
        for stack, count in recorded.stacks.items()
        if any(is_frame_of(frame, "leaf") for frame in stack)
    }
    assert sum(burning.values()) > HZ
    for stack in burning:
        assert not any(frame.endswith("_[j]") or frame == "[jit]" for frame in stack), stack
        names = [frame.partition(" (")[0].rpartition(".")[2] for frame in stack]
        places = [names.index(name) for name in ("root", "middle", "leaf")]
        assert places == sorted(places), stack
