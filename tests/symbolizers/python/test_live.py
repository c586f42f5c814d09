"""Real interpreters, read without their help, against what they say of themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from symbolizers.base import Interpreter
from symbolizers.errors import Changed
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.language import PythonFile
from tests.support.live.embedded import build_embedded_python
from tests.support.python_walk import find_python, raw_frame, walk

TARGET = Path(__file__).parents[2] / "support" / "python_target.py"


@dataclass(frozen=True)
class Live:
    """A running target, where its interpreter is, and the `truth` that it told."""

    memory: NowaitReader
    file: PythonFile
    interpreter: Interpreter
    truth: dict[str, Any]


@contextmanager
def running(program: Path) -> Iterator[Live]:
    """`program` running the target, until the end of the block."""
    command = [str(program), str(TARGET)]
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with target:
        try:
            assert target.stdout is not None
            truth = json.loads(target.stdout.readline())
            with open_process(target.pid) as handle:
                file, interpreter = find_python(handle)
                yield Live(NowaitReader(handle), file, interpreter, truth)
        finally:
            target.kill()


@pytest.fixture(scope="module", params=["static", "shared", "copied types"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The machine's own executable, and programs that embed its libpython."""
    if request.param == "static":
        program = Path(sys.executable).resolve()
    else:
        directory = tmp_path_factory.mktemp("embedded")
        program = build_embedded_python(directory, copy_types=request.param == "copied types")
    with running(program) as found:
        yield found


def test_knows_itself(live: Live) -> None:
    assert live.file.version == live.interpreter.version == sys.version.split()[0]
    start, end = live.interpreter.loop
    assert end - start > 10_000
    assert live.interpreter.language == "python"


def test_every_code_object_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.file.symbolizer(live.interpreter, live.memory, lines=True)
    codes = live.truth["codes"]
    for address, name, file, first_line, ranges in codes:
        found = symbolizer.read(raw_frame(live.file.row, live.memory, address))
        assert (found.name, found.file, found.first_line) == (name, file, first_line)
        for start, end, line in ranges:
            for offset in range(start, end, 2):
                assert found.line_at(offset) == (line or first_line)
    assert len(codes) > 2000
    names = {code[1] for code in codes}
    assert {"outer.<locals>.функция", "𐌀.été.<locals>.Body", "outer.<locals>.名前.<locals>.<lambda>"} <= names
    assert {"\ud800", "coroutine"} <= names
    assert any(code[2].startswith("<frozen ") for code in codes)


def test_a_freed_code_object_is_not_named(live: Live) -> None:
    symbolizer = live.file.symbolizer(live.interpreter, live.memory, lines=False)
    assert len(live.truth["freed"]) == 200
    for address in live.truth["freed"]:
        frame = raw_frame(live.file.row, live.memory, address)  # whose checksum is of what lies there now
        with pytest.raises(Changed):
            symbolizer.read(frame)


def test_the_stack_of_every_thread_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.file.symbolizer(live.interpreter, live.memory, lines=True)
    stacks = {}
    for thread, frames in walk(live.file.row, live.memory, live.interpreter.root):
        objects = [(symbolizer.read(frame), frame.position) for frame in frames]
        stacks[str(thread)] = [[code.name, code.line_at(position)] for code, position in objects]
    assert stacks == live.truth["stacks"]
    assert len(stacks) == 2
    assert max(map(len, stacks.values())) > 10
