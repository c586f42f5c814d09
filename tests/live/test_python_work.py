"""What CPython does by itself, in every version here that has symbols."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from tests.interpreters.at_hand import Python, pythons_of_the_machine
from tests.support.live.harness import SYSTEM_PYTHON, WORKLOADS, is_frame_of, record

HZ = 199


def has_symbols(python: Python) -> bool:
    with open(python.program, "rb") as stream:
        return ElfFile.from_fd(stream.fileno()).has_symbol_table()


WITH_SYMBOLS = [each for each in pythons_of_the_machine() if has_symbols(each)]


def is_collected(function: str, stack: tuple[str, ...]) -> bool:
    return "[gc]" in stack and any(is_frame_of(frame, function) for frame in stack)


@pytest.mark.parametrize("python", WITH_SYMBOLS, ids=lambda python: python.name)
def test_collections_have_a_frame_in_every_version(python: Python, tmp_path: Path) -> None:
    """Those that a program asks for, and those that an allocation begins."""
    command = [python.program, *python.options, str(WORKLOADS / "cycles.py")]
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    for function, least in (("collects", 0.95), ("makes_garbage", 0.3)):
        collected = recorded.where(partial(is_collected, function))
        assert collected >= least * recorded.within(function) > 0.5 * HZ * least, function
    assert not any(stack.count("[gc]") > 1 for stack in recorded.stacks)


def test_what_python_does_by_itself_has_a_frame(tmp_path: Path) -> None:
    """Its collector, called by a function and when it ends; a stripped program has symbols for no more."""
    program = tmp_path / "cycles.py"
    program.write_text(
        "import ctypes, gc, json, time\n"
        "gc.disable()\n"
        "def collects():\n"
        "    before = time.process_time()\n"
        "    while time.process_time() < before + 2:\n"
        "        ctypes.pythonapi.PyGC_Collect()\n"
        "kept = [[number] for number in range(3_000_000)]\n"
        "kept.append(kept)\n"
        "gc.collect()\n"  # else the first allocation does, in a function that has no symbol
        "gc.enable()\n"
        "collects()\n"
        "print(json.dumps({}), flush=True)\n"
    )
    recorded = record(tmp_path, "-F", str(HZ), command=[SYSTEM_PYTHON, str(program)])
    recorded.accounted()
    called = {stack: count for stack, count in recorded.stacks.items() if "collects" in "".join(stack)}
    collected = sum(count for stack, count in called.items() if "[gc]" in stack)
    assert collected >= 0.9 * sum(called.values()) > HZ
    ending = [stack for stack in recorded.stacks if "[interpreter exit]" in stack]
    assert recorded.where(ending.__contains__) >= 5
    assert any("[gc]" in stack[stack.index("[interpreter exit]") :] for stack in ending)
    assert not any(stack.count("[gc]") > 1 for stack in recorded.stacks)
