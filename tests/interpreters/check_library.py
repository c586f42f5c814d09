"""Line tables of every CPython at hand: all instructions of its whole standard library. Takes minutes."""

from __future__ import annotations

import json
import subprocess
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import pytest

from symbolizers.python.code import LINE_TABLES
from symbolizers.python.layouts import LAYOUTS
from symbolizers.python.lines import LineTable
from tests.interpreters.at_hand import Python, pythons


def differences(decode: Callable[[bytes, int], LineTable], entry: list[Any]) -> tuple[int, int]:
    """Instructions of one code object, and how many of them have another line with us."""
    table, first_line, ranges = entry
    starts, lines = decode(bytes.fromhex(table), first_line)
    instructions = different = 0
    for start, end, line in ranges:
        for offset in range(start, end, 2):
            instructions += 1
            index = bisect_right(starts, offset) - 1
            found = lines[index] if index >= 0 else first_line
            different += found != (line or 0)
    return instructions, different


@pytest.mark.cell("lines")
@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.name)
def test_every_instruction_of_the_standard_library(
    python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    row = LAYOUTS.find(python.version)
    assert row is not None
    decode = LINE_TABLES[row.capabilities["line_table"]]
    files = codes = instructions = different = 0
    command = python.command("library.py")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as target:
        assert target.stdout is not None
        for line in target.stdout:
            _, entries = json.loads(line)
            files += 1
            for entry in entries:
                codes += 1
                counts = differences(decode, entry)
                instructions += counts[0]
                different += counts[1]
    with capsys.disabled():
        print(f"\n{python.name}: {files} files, {codes} code objects, {instructions} instructions", end=" ")
    assert target.returncode == 0
    assert instructions > 100_000
    assert different == 0
