"""Every CPython at hand, read without its help, against what it says of itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from symbolizers.base import Interpreter
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.code import PythonSymbolizer
from symbolizers.python.language import PythonFile
from tests.interpreters.at_hand import Python, pythons
from tests.support.python_walk import find_python, raw_frame, walk

FIRST_WITH_QUALIFIED_NAMES = (3, 11)


@dataclass(frozen=True)
class Live:
    """A paused process of `python`, where its interpreter is, and the `truth` that it told."""

    python: Python
    memory: NowaitReader
    file: PythonFile
    interpreter: Interpreter
    truth: dict[str, Any]

    def symbolizer(self) -> PythonSymbolizer:
        return self.file.symbolizer(self.interpreter, self.memory, lines=True)


@pytest.fixture(scope="module", params=pythons(), ids=lambda python: python.name)
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    python: Python = request.param
    command = python.command("objects.py")
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with target:
        try:
            assert target.stdout is not None
            truth = json.loads(target.stdout.readline())
            with open_process(target.pid) as handle:
                yield Live(python, NowaitReader(handle), *find_python(handle), truth)
        finally:
            target.kill()


def test_the_version_is_known(live: Live) -> None:
    numbers = tuple(map(int, live.interpreter.version.split(".")[:2]))
    assert numbers == live.python.version
    assert live.file.version.count(".") == 2, "only the series was found"
    assert not live.interpreter.note


def test_every_code_object_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.symbolizer()
    instructions = 0
    for address, name, file, first_line, ranges in live.truth["codes"]:
        found = symbolizer.read(raw_frame(live.file.row, live.memory, address))
        assert (found.name, found.file, found.first_line) == (name, file, first_line)
        for start, end, line in ranges:
            for offset in range(start, end, 2):
                assert found.line_at(offset) == (line or first_line)
                instructions += 1
    assert len(live.truth["codes"]) > 1000
    assert instructions > 20_000


def test_the_stack_of_every_thread_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.symbolizer()
    stacks = {}
    for thread, frames in walk(live.file.row, live.memory, live.interpreter.root):
        objects = [(symbolizer.read(frame), frame.position) for frame in frames]
        stacks[str(thread)] = [[code.name, code.line_at(position)] for code, position in objects]
    assert stacks == live.truth["stacks"]
    assert len(stacks) == 2
    names = {name for stack in stacks.values() for name, _ in stack}
    qualified = live.python.version >= FIRST_WITH_QUALIFIED_NAMES
    assert ("Made.called_from_c" if qualified else "called_from_c") in names
    assert {"handler", "leaf"} <= names
