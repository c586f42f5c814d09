"""Names that the kernel takes at the interrupt, of all code of the libraries: the reader finds the same.

The programs that take them (profiler/bpf/name_X.h) run in the walkers' harness, on the memory of a live
process that stands still.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from itertools import islice

import pytest

from symbolizers.base import AddressSpace, Interpreter, Symbolizer
from symbolizers.frame import RawFrame, capture_kind
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.registry import NAMERS
from tests.interpreters.at_hand import Php, Python, Ruby, phps, pythons, rubies
from tests.interpreters.check_php_library import debugger
from tests.interpreters.php_methods import find_php, methods
from tests.support.python_walk import find_python, raw_frame
from tests.support.ruby_target import iseq_frame, ruby_target
from tests.support.walkers.harness import Harness, build, running
from tests.support.walkers.live_names import taken_of

AT_ONCE = 512
LEAST_SHARE = 0.9
"""Of code objects, those whose names are taken: the rest are too long, or of wide characters."""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with running(build(tmp_path_factory.mktemp("harness"))) as found:
        yield found


def compare(
    harness: Harness,
    memory: AddressSpace,
    interpreter: Interpreter,
    symbolizer: Symbolizer,
    frames: Sequence[RawFrame],
) -> tuple[int, int]:
    """How many of `frames` are named as a whole, and how many of these otherwise than the reader has it."""
    whole = different = 0
    taken = taken_of(harness, memory, interpreter, frames)
    for frame in frames:
        name = taken.get((frame.address, frame.checksum))
        found = NAMERS[capture_kind(frame.address)](name) if name is not None else None
        if found is not None and found.is_whole:
            whole += 1
            different += found.code != symbolizer.read(frame)
    return whole, different


def check(counts: Sequence[tuple[int, int, int]], capsys: pytest.CaptureFixture[str], name: str) -> None:
    codes, whole, different = (sum(each) for each in zip(*counts, strict=True))
    with capsys.disabled():
        print(f"\n{name}: {codes} code objects, {whole} named, {different} different", end=" ")
    assert codes > 10_000
    assert whole > codes * LEAST_SHARE
    assert different == 0


@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.name)
def test_pythons_names(harness: Harness, python: Python, capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    command = python.command("names.py")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = list(iter(process.stdout.readline, "ready\n"))
            with open_process(process.pid) as handle:
                file, interpreter = find_python(handle)
                memory = NowaitReader(handle)
                symbolizer = file.symbolizer(interpreter, memory, lines=False)
                for line in lines:
                    memory.forget()
                    frames = [raw_frame(file.row, memory, address) for address in json.loads(line)]
                    named = compare(harness, memory, interpreter, symbolizer, frames)
                    counts.append((len(frames), *named))
        finally:
            process.kill()
    check(counts, capsys, python.name)


@pytest.mark.parametrize("ruby", rubies(), ids=lambda ruby: ruby.name)
def test_rubys_names(harness: Harness, ruby: Ruby, capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    with ruby_target(*ruby.command("iseqs.rb", contained=True)) as target:
        symbolizer = target.symbolizer(target.memory)
        addresses = (json.loads(told)["address"] for told in target.said)
        while some := list(islice(addresses, AT_ONCE)):
            target.memory.forget()
            frames = [iseq_frame(target.runtime.row, target.memory, address) for address in some]
            named = compare(harness, target.memory, target.interpreter, symbolizer, frames)
            counts.append((len(frames), *named))
    check(counts, capsys, ruby.name)


@pytest.mark.parametrize("php", phps(), ids=lambda php: php.name)
def test_phps_names(harness: Harness, php: Php, capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    with debugger(php) as stopped, open_process(stopped.pid) as handle:
        file, interpreter = find_php(handle)
        memory = NowaitReader(handle)
        symbolizer = file.symbolizer(interpreter, memory, lines=False)
        frames = (each.frame for _, own in methods(file.row, memory, interpreter.root) for each in own)
        while some := list(islice(frames, AT_ONCE)):
            counts.append((len(some), *compare(harness, memory, interpreter, symbolizer, some)))
    check(counts, capsys, php.name)
