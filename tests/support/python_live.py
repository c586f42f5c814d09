"""A live CPython that says what its code objects and stacks are, and how the project reads them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symbolizers.base import Interpreter
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.code import PythonSymbolizer
from symbolizers.python.language import PythonFile
from tests.support.python_walk import find_python, raw_frame, walk

TARGET = Path(__file__).with_name("python_target.py")


@dataclass(frozen=True)
class Live:
    """A paused process, where its interpreter is, and the `truth` that it told."""

    memory: NowaitReader
    file: PythonFile
    interpreter: Interpreter
    truth: dict[str, Any]

    def symbolizer(self, *, lines: bool = True) -> PythonSymbolizer:
        """A reader of the process's code objects."""
        return self.file.symbolizer(self.interpreter, self.memory, lines=lines)

    def check_codes(self) -> int:
        """Checks that every code object reads as the process told; returns the number of instructions."""
        symbolizer = self.symbolizer()
        instructions = 0
        for address, name, file, first_line, ranges in self.truth["codes"]:
            found = symbolizer.read(raw_frame(self.file.row, self.memory, address))
            read = (found.name, found.file, found.first_line)
            assert read == (name, file, first_line), f"{read} read, {(name, file, first_line)} told"
            for start, end, line in ranges:
                for offset in range(start, end, 2):
                    assert found.line_at(offset) == (line or first_line), f"{name} at byte {offset}"
                    instructions += 1
        return instructions

    def stacks(self) -> dict[str, list[list[Any]]]:
        """The stack of each thread as ``[name, line]``, leaf first, in the form of ``truth["stacks"]``."""
        symbolizer = self.symbolizer()
        stacks = {}
        for thread, frames in walk(self.file.row, self.memory, self.interpreter.root):
            objects = [(symbolizer.read(frame), frame.distance) for frame in frames]
            stacks[str(thread)] = [[code.name, code.line_at(position)] for code, position in objects]
        return stacks


@contextmanager
def running(command: Sequence[str]) -> Iterator[Live]:
    """Runs a `command` that tells its truth as one line of JSON, until the end of the block."""
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with target:
        try:
            assert target.stdout is not None
            truth = json.loads(target.stdout.readline())
            with open_process(target.pid) as handle:
                yield Live(NowaitReader(handle), *find_python(handle), truth)
        finally:
            target.kill()
