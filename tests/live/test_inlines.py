"""Functions that the compiler has inlined, in a recording and in the report of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.live.harness import PIDFLAME, WORKLOADS, parse_folded, record

HZ = 199


def build(name: str, folder: Path) -> Path:
    built = folder / name
    subprocess.run(["gcc", "-O2", "-g", WORKLOADS / f"{name}.c", "-o", built], check=True)
    return built


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("inlined", tmp_path_factory.mktemp("inlined"))


def test_they_are_frames_on_top_of_the_function_that_has_them(program: Path, tmp_path: Path) -> None:
    kept = tmp_path / "run.pidflame"
    recorded = record(tmp_path, "-F", str(HZ), "--inlines", "-o", str(kept), command=[str(program), "2"])
    recorded.accounted()
    inside = [stack for stack in recorded.stacks if any(frame.startswith("inner (") for frame in stack)]
    assert sum(recorded.stacks[stack] for stack in inside) > 0.8 * 2 * HZ, recorded.stacks
    for stack in inside:
        places = [frame.partition("inlined.c:") for frame in stack if "inlined.c:" in frame]
        names = [before for before, _, _ in places]
        assert [each.rpartition(" (")[0] for each in names][-3:] == ["outer", "middle", "inner"], stack
        assert [line for _, _, line in places][-3:-1] == ["13)", "9)_[i]"], stack
        assert places[-1][2] in ("4)_[i]", "5)_[i]"), stack
    report = subprocess.run(
        [PIDFLAME, "report", kept, "-o", "-", "-f", "folded"], capture_output=True, text=True, check=True
    )
    assert parse_folded(report.stdout) == recorded.stacks


def test_without_the_option_they_are_not_there(program: Path, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "1"])
    outer = recorded.where(lambda stack: "outer (inlined)" in stack)
    assert outer > 0.8 * HZ, recorded.stacks
    assert not recorded.where(lambda stack: any(frame.endswith("_[i]") for frame in stack))


def test_two_that_are_inlined_in_one_function_have_their_shares(tmp_path: Path) -> None:
    program = build("inlined_twice", tmp_path)
    recorded = record(tmp_path, "-F", str(HZ), "--inlines", command=[str(program), "3"])

    def samples_in(name: str) -> int:
        return recorded.where(lambda stack: any(frame.startswith(f"{name} (") for frame in stack))

    first, second = samples_in("first"), samples_in("second")
    assert first + second > 0.8 * 3 * HZ, recorded.stacks
    assert 0.68 < first / (first + second) < 0.82, recorded.stacks
