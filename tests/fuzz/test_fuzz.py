"""A short slice of the fuzz lane, always of the same inputs; and that the lane finds, keeps and replays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from symbolizers.errors import Malformed
from tests.fuzz import lane
from tests.fuzz.lane import Fuzzer
from tests.fuzz.target import ROOT, Target, TooLong, problem_with
from tests.fuzz.targets import TARGETS

SEED = 12
SLICE_S = 0.3


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_slice_of_every_target(target: Target) -> None:
    fuzzer = Fuzzer(target, SEED)
    findings = list(fuzzer.run(SLICE_S))
    assert not findings, findings[0].story
    assert fuzzer.inputs > 3


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_understands_what_it_begins_with(target: Target) -> None:
    """Else its inputs would end at the first check of all."""
    refused = 0
    for data in target.seeds():
        try:
            target.run(data)
        except target.allowed:
            refused += 1
    assert refused <= len(target.seeds()) * 2 / 3


def _fails_deep(data: bytes) -> None:
    if data[:4] != b"\x7fELF":
        raise Malformed("no magic number")
    if int.from_bytes(data[8:16], "little") > 1 << 60:
        raise IndexError("deep")


DEEP = Target("deep", lambda: [b"\x7fELF".ljust(32, b"\0")], _fails_deep)


def test_what_lies_behind_a_magic_number_is_found_kept_and_replayed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finding,) = Fuzzer(DEEP, SEED).run(0.5)
    assert finding.problem.startswith("IndexError at test_fuzz.py:")
    path = finding.write(tmp_path)
    monkeypatch.setattr(lane, "TARGETS", (*TARGETS, DEEP))
    monkeypatch.setattr(sys, "argv", ["lane", "--replay", str(path)])
    assert lane.main() == 1
    assert "IndexError: deep" in capsys.readouterr().out
    path.write_bytes(b"\x7fELF")
    assert lane.main() == 0


def test_what_costs_too_much_is_a_problem() -> None:
    kept: list[bytes] = []

    def loops(data: bytes) -> None:
        while True:
            try:
                raise Malformed("again")
            except Exception:
                continue

    endless = problem_with(Target("endless", list, loops, cpu_limit_s=0.1), b"")
    assert endless[0].startswith(TooLong.__name__)
    large = problem_with(Target("large", list, lambda data: kept.append(b"x" * (128 << 20))), b"")
    assert large == ("memory", large[1])


def test_the_same_seed_gives_the_same_inputs() -> None:
    seen: list[list[bytes]] = []
    for _ in range(2):
        inputs: list[bytes] = []
        fuzzer = Fuzzer(Target("same", lambda: [b"one", b"another"], inputs.append), SEED)
        for _ in fuzzer.run(0.05):
            pass
        seen.append(inputs[:100])
    assert len(seen[0]) == 100
    assert seen[0] == seen[1]


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.lane", "--target", "stat", "--seconds", "0.2", "--seed", "5"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0] == "seed 5"
    assert said[1].startswith("stat: ")
