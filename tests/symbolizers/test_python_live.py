"""Real interpreters, read without their help, against what they say of themselves."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed
from symbolizers.frame import CAPTURE_KIND_SHIFT, CaptureKind, RawFrame
from symbolizers.layouts.cpython import LAYOUTS
from symbolizers.layouts.row import Row
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import read_mappings
from symbolizers.process.memory import NowaitReader
from symbolizers.python import PythonFile, PythonLanguage
from tests.live.embedded import build_embedded_python

TARGET = Path(__file__).with_name("python_target.py")


@dataclass(frozen=True)
class Live:
    """A running target, where its interpreter is, and the `truth` that it told."""

    memory: NowaitReader
    file: PythonFile
    interpreter: Interpreter
    truth: dict[str, Any]

    @property
    def row(self) -> Row:
        return LAYOUTS.named(self.interpreter.layout)


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
                file, interpreter = find_interpreter(handle)
                yield Live(NowaitReader(handle), file, interpreter, truth)
        finally:
            target.kill()


def find_interpreter(handle: ProcessHandle) -> tuple[PythonFile, Interpreter]:
    """The one interpreter among the files that a process maps executable."""
    for mapping in read_mappings(handle, executable_only=True):
        if not mapping.path.startswith("/"):
            continue
        descriptor = os.open(mapping.path, os.O_RDONLY)
        try:
            elf = ElfFile.from_fd(descriptor)
            file = PythonLanguage().recognise(elf)
            if file is not None:
                return file, file.attach(elf.bias(mapping.start, mapping.offset))
        finally:
            os.close(descriptor)
    raise AssertionError("no interpreter found")


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


def word(memory: AddressSpace, address: int) -> int:
    return int.from_bytes(memory.read(address, 8), "little")


def raw_frame(live: Live, code: int, position: int = 0) -> RawFrame:
    count = live.row["code_checksum_words"]
    data = live.memory.read(code + live.row["code_checksum"], 8 * count)
    tagged = CaptureKind.PYTHON_CODE << CAPTURE_KIND_SHIFT | code
    return RawFrame(tagged, position & 0xFFFF_FFFF, checksum(struct.unpack(f"<{count}Q", data)))


def walk(live: Live) -> Iterator[tuple[int, list[RawFrame]]]:
    """Each thread's ident and frames, leaf first, by the way that the kernel-side walker takes."""
    row, memory = live.row, live.memory
    interpreter = word(memory, live.interpreter.root + row["runtime_interpreters_head"])
    thread = word(memory, interpreter + row["interpreter_threads_head"])
    assert word(memory, interpreter + row["interpreter_next"]) == 0
    while thread:
        frame = word(memory, word(memory, thread + row["thread_frame"]) + row["cframe_frame"])
        frames = []
        while frame:
            code = word(memory, frame + row["frame_code"])
            position = word(memory, frame + row["frame_instr"]) - code - row["code_first_instr"]
            frames.append(raw_frame(live, code, position))
            frame = word(memory, frame + row["frame_previous"])
        yield word(memory, thread + row["thread_thread_id"]), frames
        thread = word(memory, thread + row["thread_next"])


def test_knows_itself(live: Live) -> None:
    assert live.file.version == live.interpreter.version == sys.version.split()[0]
    start, end = live.interpreter.loop
    assert end - start > 10_000
    assert live.interpreter.language == "python"


def test_every_code_object_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.file.symbolizer(live.interpreter, live.memory, lines=True)
    codes = live.truth["codes"]
    for address, name, file, first_line, ranges in codes:
        found = symbolizer.read(raw_frame(live, address))
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
        frame = raw_frame(live, address)  # whose checksum is of what lies there now
        with pytest.raises(Changed):
            symbolizer.read(frame)


def test_the_stack_of_every_thread_is_what_its_process_says(live: Live) -> None:
    symbolizer = live.file.symbolizer(live.interpreter, live.memory, lines=True)
    stacks = {}
    for thread, frames in walk(live):
        objects = [(symbolizer.read(frame), frame.position) for frame in frames]
        stacks[str(thread)] = [[code.name, code.line_at(position)] for code, position in objects]
    assert stacks == live.truth["stacks"]
    assert len(stacks) == 2
    assert max(map(len, stacks.values())) > 10
