"""The harness itself: its memory faults as the kernel's does, and it sees what a broken walker does."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from profiler.capture.program import program_text
from profiler.capture.wire import UserEnd, WalkStatus
from symbolizers.python.layouts import LAYOUTS
from symbolizers.registry import LANGUAGES
from tests.support.walkers import forged_python
from tests.support.walkers.harness import (
    PAGE_BYTES,
    REGISTERS,
    Harness,
    HarnessError,
    Image,
    Read,
    Walker,
    build,
    frame_pointers,
    running,
)

ROW = LAYOUTS.named("cpython-3.12")
NUMBERS = dict(ROW.numbers())
BASE = 0x1000_0000


def first_read(harness: Harness, address: int, pages: dict[int, bytes]) -> Read:
    """What comes of a word at `address`: the first that the walker for Python reads."""
    root = (address - ROW["runtime_interpreters_head"]) % (1 << 64)
    return harness.walk(Image(pages, (Walker.of("python", root, NUMBERS),), 1), traced=True).trace[0]


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        (BASE, False),
        (BASE + PAGE_BYTES - 8, False),
        (BASE + PAGE_BYTES - 7, True),
        (BASE - 1, True),
        (BASE + 2 * PAGE_BYTES - 4, True),
        (BASE + 3 * PAGE_BYTES - 4, False),
        (0, True),
        (0xFFFF_8880_0000_0000, True),
        ((1 << 64) - 1, True),
    ],
)
def test_only_resident_pages_are_read(harness: Harness, address: int, fault: bool) -> None:
    pages = {BASE + index * PAGE_BYTES: bytes(PAGE_BYTES) for index in (0, 2, 3)}
    assert first_read(harness, address, pages) == Read(address, 8, fault)


def test_a_sample_without_walkers_has_only_native_stacks(harness: Harness) -> None:
    walk = harness.walk(Image({}, (), 1))
    assert (walk.reads, walk.tail_calls, walk.sample.interpreter) == (0, 2, ())
    assert (walk.sample.user, len(walk.sample.kernel)) == ((), 127)


def test_the_longest_record_fits(harness: Harness) -> None:
    forged = forged_python.stack(LAYOUTS.named("cpython-3.11"), 2000).image
    pages, registers = frame_pointers(300)
    image = replace(forged, pages={**forged.pages, **pages}, registers=registers)
    walk = harness.walk(image, unwound=True)
    assert (len(walk.sample.interpreter), walk.sample.walk_status) == (1024, WalkStatus.TRUNCATED)
    assert (len(walk.sample.user), walk.sample.user_end) == (108, UserEnd.DEEP)
    assert len(walk.sample.kernel) == 127


@pytest.mark.parametrize(("in_kernel", "gap"), [(False, 0), (True, 0), (True, 16)])
def test_registers_arrive(harness: Harness, in_kernel: bool, gap: int) -> None:
    """Of user code without a frame pointer only the instruction pointer is known."""
    registers = [0] * REGISTERS
    registers[16], registers[17], registers[19], registers[20] = 0x1234, 0x33, 0x7FFF_0000_0000, 0x2B
    image = Image({}, (), 1, tuple(registers), in_kernel=in_kernel, stack_gap=gap)
    sample = harness.walk(image).sample
    assert sample.user == (0x1234,)
    assert len(sample.kernel) == (127 if in_kernel else 0)


def test_a_thread_of_the_kernel_has_no_registers(harness: Harness) -> None:
    """Its stack ends with something else."""
    sample = harness.walk(Image({}, (), 1, (0x5555,) * REGISTERS), unwound=True).sample
    assert (sample.user, len(sample.kernel)) == ((), 127)


@pytest.mark.parametrize("language", [language.name for language in LANGUAGES])
def test_every_language_has_its_program(harness: Harness, language: str) -> None:
    """It runs, and finds nothing where nothing is mapped."""
    walk = harness.walk(Image({}, (Walker(language, BASE, bytes(256)),), 1))
    assert walk.tail_calls > 1
    assert walk.sample.interpreter == ()


BROKEN = {
    "a window of another sample": (b"if (!walk->window || walk->frame < walk->window || end >", b"if (end >"),
    "a frame behind the last": (
        b"frame = frame_at(s, slot);\n\tframe->address = address;",
        b"frame = &s->frames[slot == 40 ? 4000 : slot];\n\tframe->address = address;",
    ),
    "a window that is too large": (
        b"read_user(s->window, WINDOW_BYTES, (const void *)walk->window)",
        b"read_user(s->window, WINDOW_BYTES + 8, (const void *)walk->window)",
    ),
    "a walk without an end": (b"ROUNDS(s, look, PYTHON_THREADS_PER_RUN)", b"for (;;)"),
    "a shift by too much": (b"PYTHON_CODE << KIND_SHIFT", b"PYTHON_CODE << (KIND_SHIFT + s->walk.count)"),
}
"""By what is wrong: a piece of the text, and what is put there."""


def walk_much(program: Path) -> None:
    with running(program) as harness:
        harness.walk(forged_python.stack(LAYOUTS.named("cpython-3.11"), 600).image)
        harness.walk(forged_python.endless_threads(ROW))
        harness.walk(forged_python.low_frame(ROW))


@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_walker_is_caught(tmp_path: Path, what: str) -> None:
    text = program_text(LANGUAGES)
    piece, instead = BROKEN[what]
    assert piece in text
    program = build(tmp_path, text=text.replace(piece, instead))
    with pytest.raises(HarnessError):
        walk_much(program)
