"""Real interpreters of this machine, which say what their stacks are: programs/X.* for the language X.

Such a program is run with the name of a scenario: ``kinds`` (frames of every kind that the language has),
``thread`` (of a thread that is not the first, if it can have one) or ``deep N`` (a function that calls itself
N times). It writes one line of JSON, with the ``tid`` of a thread and its ``stack``, a list of names and
lines, leaf first. That thread then waits in a read(2) of its stdin. The line of a function without lines is
not looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from profiler.capture.records import RawSample
from symbolizers.base import Symbolizer
from symbolizers.frame import FIRST_ANNOTATION, CodeObject
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from tests.support.walkers.harness import Harness, Image, Walk
from tests.support.walkers.images import find_interpreter, snapshot

_FILES = (Path(__file__).parent / "programs").iterdir()
PROGRAMS = {path.stem: path for path in sorted(_FILES) if path.is_file()}
"""By language."""
Stack = list[tuple[str, int]]
"""Name and line of each function, leaf first."""

DEADLINE_S = 20.0
_READ_OF_STDIN = "0 0x0 "
_CLASS = re.compile(r"\b(?:[A-Z]\w*::)*[A-Z]\w*[#.]")


@dataclass(frozen=True)
class Target:
    """A process that waits: the image of its thread, the walk over it, and its stack as told and as found.

    `codes` are the code objects of the stack as a reader finds them, without lines, by address and checksum.
    """

    image: Image
    walk: Walk
    told: Stack
    found: Stack
    codes: Mapping[tuple[int, int], CodeObject]


@contextmanager
def _waiting(language: str, scenario: Sequence[str]) -> Iterator[tuple[int, int, Stack]]:
    """Pid and tid of the program, and the stack that it tells, until the end of the block."""
    command = (str(PROGRAMS[language]), *scenario)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            _wait_until_it_reads(process.pid, said["tid"])
            yield process.pid, said["tid"], [(name, line) for name, line in said["stack"]]
        finally:
            process.kill()


def _wait_until_it_reads(pid: int, tid: int) -> None:
    """Until the thread is in read(2) of its stdin, where its stack stays the same."""
    end = time.monotonic() + DEADLINE_S
    system_call = Path(f"/proc/{pid}/task/{tid}/syscall")
    while not system_call.read_text().startswith(_READ_OF_STDIN):
        assert time.monotonic() < end, f"thread {tid} does not read: {system_call.read_text()}"
        time.sleep(0.001)


def take(harness: Harness, language: str, *scenario: str) -> Target:
    """The program in this scenario, walked by the harness."""
    with _waiting(language, scenario) as (pid, tid, told), open_process(pid) as handle:
        file, interpreter = find_interpreter(handle)
        memory = NowaitReader(handle)
        image, walk = snapshot(harness, memory, interpreter, tid)
        found = named(walk.sample, file.symbolizer(interpreter, memory, lines=True))
        reader = file.symbolizer(interpreter, memory, lines=False)
        frames = [frame for frame in walk.sample.interpreter if frame.address < FIRST_ANNOTATION]
        codes = {(frame.address, frame.checksum): reader.read(frame) for frame in frames}
        memory.forget()
        return Target(image, walk, told, found, codes)


def named(sample: RawSample, symbolizer: Symbolizer) -> Stack:
    """The interpreter frames of a sample, annotations left out; line 0 of a function without lines."""
    stack = []
    for frame in sample.interpreter:
        if frame.address < FIRST_ANNOTATION:
            code = symbolizer.read(frame)
            stack.append((code.name, code.line_at(frame.distance) if code.starts else 0))
    return stack


def agrees(told: Stack, found: Stack) -> bool:
    """Whether the stacks are the same; a name may be told without the classes that are in front of it."""
    return len(told) == len(found) and all(
        told_name in (name, _CLASS.sub("", name)) and line in (0, told_line)
        for (told_name, told_line), (name, line) in zip(told, found, strict=True)
    )
