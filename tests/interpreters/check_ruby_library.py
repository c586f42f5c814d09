"""Line tables of every Ruby at hand: all instructions of its whole standard library. Takes minutes."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

import pytest

from symbolizers.frame import CodeObject
from tests.interpreters.at_hand import Ruby, rubies
from tests.support.ruby_target import iseq_frame, ruby_target


def differences(code: CodeObject, instructions: list[list[int]]) -> int:
    """How many of the instructions have another line with us.

    Ruby itself has no line (0) for some: there our answer has to be the first line, as its backtraces say.
    """
    different = 0
    for word, words, line in instructions:
        for position in range(8 * word, 8 * (word + words), 8):
            known = code.lines[bisect_right(code.starts, position) - 1]
            different += code.line_at(position) != (line if known else code.first_line)
    return different


@pytest.mark.cell("lines")
@pytest.mark.parametrize("ruby", rubies(), ids=lambda ruby: ruby.name)
def test_every_instruction_of_the_standard_library(ruby: Ruby, capsys: pytest.CaptureFixture[str]) -> None:
    instructions = lineless = different = 0
    with ruby_target(*ruby.command("iseqs.rb", contained=True)) as target:
        symbolizer = target.symbolizer(target.memory, lines=True)
        for told in target.said:
            entry: dict[str, Any] = json.loads(told)
            frame = iseq_frame(target.runtime.row, target.memory, entry["address"])
            code = symbolizer.read(frame)
            assert code.file == entry["file"]
            instructions += len(entry["instructions"])
            lineless += code.lines.count(0)
            different += differences(code, entry["instructions"])
    with capsys.disabled():
        print(f"\n{ruby.name}: {len(target.said)} iseqs, {instructions} instructions", end=" ")
    assert instructions > 100_000
    assert lineless < instructions / 20
    assert different == 0
