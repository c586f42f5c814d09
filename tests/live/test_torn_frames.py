"""A stack taken while the interpreter calls or returns is one that the program can have, or is dropped."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from symbolizers.registry import WORK
from tests.interpreters.at_hand import Python, pythons_of_the_machine
from tests.support.live.harness import WORKLOADS, record

HZ = 997
BURN_S = 1.5
PROGRAM = WORKLOADS / "hostile_chains.py"
SOURCE = PROGRAM.read_text().splitlines()
SHOWN = re.compile(rf"([\w.<>]+) \(.*{PROGRAM.name}:(\d+)\)")
MARKED = re.compile(r"\[[a-z ]+\]")
AT_WORK = set(WORK.values())
"""Markers of garbage collection and the like, in stacks in which nothing is lacking."""
MOST_PARTIAL = 0.01
CALLED_BY_ANOTHER_NAME = {"__init__": "Made"}
LEAVES = {"third", "inner_steps", "halve", "bound_target", "settle"}


def own_frames(stack: tuple[str, ...]) -> list[tuple[str, int]]:
    """Name and line of the program's own frames, root first."""
    found = filter(None, map(SHOWN.fullmatch, stack))
    return [(match[1].rpartition(".")[2], int(match[2])) for match in found]


def function_at(line: int) -> str:
    """The function that has the line in its body or is defined there; the module where none has."""
    for number in range(line, 0, -1):
        text = SOURCE[number - 1]
        if match := re.match(r"\s*def (\w+)", text):
            return match[1]
        if text and not text.startswith(" "):
            break
    return "<module>"


def impossible(frames: list[tuple[str, int]]) -> str:
    """What is impossible in this stack of the program, or ''."""
    if [name for name, _ in frames[:2]] != ["<module>", "burn"]:
        return "does not begin with <module> and burn"
    for name, line in frames:
        if function_at(line) != name:
            return f"{name} at line {line}"
    for (caller, line), (called, _) in pairwise(frames):
        call = CALLED_BY_ANOTHER_NAME.get(called, called)
        if not re.search(rf"\b{call}\b", SOURCE[line - 1]):
            return f"{called} called by {caller} at line {line}"
    return ""


@pytest.mark.parametrize("python", pythons_of_the_machine(), ids=lambda python: python.name)
def test_every_stack_is_one_that_the_program_can_have(tmp_path: Path, python: Python) -> None:
    command = [python.program, "-B", str(PROGRAM), str(BURN_S)]
    recorded = record(tmp_path, "-F", str(HZ), "--lines", command=command)
    recorded.accounted()
    wrong: dict[str, tuple[str, ...]] = {}
    reached: Counter[str] = Counter()
    partial = 0
    for stack, count in recorded.stacks.items():
        frames = own_frames(stack)
        if any(MARKED.fullmatch(frame) and frame not in AT_WORK for frame in stack):  # a frame is not there
            partial += count
        elif len(frames) > 1:
            reached[frames[-1][0]] += count
            if problem := impossible(frames):
                wrong[problem] = stack
    assert not wrong, wrong
    assert partial <= MOST_PARTIAL * recorded.stats["samples"], recorded.stats["partial"]
    assert min(reached[name] for name in LEAVES) > 0, reached
    assert reached.total() > 0.5 * BURN_S * HZ
