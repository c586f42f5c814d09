"""Which samples count as equal: the C of count.h, run over given frames, against SipHash in Python."""

from __future__ import annotations

import struct
from array import array

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.capture.header import read_header
from profiler.capture.records import RawSample
from profiler.capture.wire import REPEAT_TYPE, decode, decode_repeat
from symbolizers.elf.unwind_rules import Cfa, packed
from symbolizers.frame import RawFrame
from symbolizers.native.unwind_table import chunks_of
from tests.support.siphash import siphash
from tests.support.walkers.harness import (
    PAGE_BYTES,
    RSP,
    Harness,
    Image,
    Walker,
    frame_pointers,
    registers_on,
)

KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
"""As in harness.c."""
MOST_COUNTED = 256
"""As in count.h."""
RBP = 4
"""Which word of ``struct pt_regs`` it is."""
LOOP, COLD, STACK = 0x55_0000_0000, 0x55_8000_0000, 0x7FFF_0000_0000
WALKER = Walker(
    "python",
    1,
    b"a row",
    {"loop": LOOP, "loop_bytes": 0x1000, "cold_loop": COLD, "cold_loop_bytes": 0x10},
)
IMAGE = Image({}, (WALKER,), thread_pointer=STACK, registers=registers_on(STACK, rip=0x1234))

u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(0, (1 << 64) - 1)
frames = st.lists(st.builds(RawFrame, u64, u32, u32, u64), min_size=1, max_size=12)
in_harness = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def at(address: int) -> Image:
    """The same thread, interrupted at this instruction, in code that keeps no frame pointer."""
    registers = list(registers_on(STACK, rip=address))
    registers[RBP] = 0
    return replace(IMAGE, registers=tuple(registers))


def words_of(sample: RawSample, *, by_lines: bool, place: int) -> list[int]:
    """What is hashed of it; `place`: where its instruction counts as being."""
    texts = [text.ljust(16, b"\0") for text in (sample.comm, sample.thread_comm)]
    counts = len(sample.kernel) << 32 | len(sample.user) << 16 | len(sample.interpreter)
    words = [
        sample.tid << 32 | sample.process.pid,
        sample.start_ns,
        sample.uid << 32 | sample.parent.pid,
        *(word for text in texts for word in struct.unpack("<2Q", text)),
        sample.walkers << 32 | sample.lacks_table << 16 | sample.user_end << 8 | sample.walk_status,
        counts,
        sample.cgroup,
    ]
    for frame in sample.interpreter:
        words += [
            frame.address,
            frame.checksum << 32 | (frame.position if by_lines else frame.position & 1 << 31),
        ]
    return [*words, place, *sample.user[1:], *sample.kernel]


def whole(record: bytes) -> RawSample:
    sample = decode(record)
    assert isinstance(sample, RawSample)
    return sample


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, "a3817f04ba25a8e66df67214c7550293"), (8, "3b62a9ba6258f5610f83e264f31497b4")],
)
def test_siphash_is_the_one_of_the_paper(length: int, expected: str) -> None:
    """Against the reference's vectors (SipHash-2-4 with 128 bits) for the bytes 0, 1, 2, …"""
    words = [int.from_bytes(bytes(range(at, at + 8)), "little") for at in range(0, length, 8)]
    assert siphash(KEY, words, rounds=(2, 4)) == struct.unpack("<2Q", bytes.fromhex(expected))


@in_harness
@given(frames=frames, by_lines=st.booleans())
def test_the_hash_is_siphash_of_what_tells_samples_apart(
    harness: Harness, frames: list[RawFrame], by_lines: bool
) -> None:
    record = harness.count(IMAGE, frames, by_lines=by_lines)
    if record.startswith(REPEAT_TYPE):
        return  # hypothesis gives the same twice
    sample = whole(record)
    assert list(sample.interpreter) == frames
    hashed = siphash(KEY, words_of(sample, by_lines=by_lines, place=sample.user[0]))
    assert struct.unpack("<2Q", sample.stack) == hashed


def test_an_equal_sample_is_a_short_record(harness: Harness) -> None:
    frames = [RawFrame(1 << 56 | 0x1000 + level, level, 7, 0) for level in range(MOST_COUNTED)]
    first = whole(harness.count(IMAGE, frames))
    again = harness.count(IMAGE, frames)
    assert len(again) == 32
    assert decode_repeat(again) == (first.cpu, first.time_ns, first.stack)


def test_what_is_deeper_goes_out_whole_each_time(harness: Harness) -> None:
    frames = [RawFrame(1 << 56 | 0x2000 + level, level, 7, 0) for level in range(MOST_COUNTED + 1)]
    for _ in range(2):
        sample = whole(harness.count(IMAGE, frames))
        assert sample.stack == b""
        assert list(sample.interpreter) == frames


@pytest.mark.parametrize("by_lines", [False, True])
def test_the_running_line_counts_where_it_is_shown(harness: Harness, by_lines: bool) -> None:
    frames = [[RawFrame(1 << 56 | 0x3000 + by_lines, position, 1, 0)] for position in (1, 2)]
    records = [harness.count(IMAGE, each, by_lines=by_lines) for each in frames]
    assert [each.startswith(REPEAT_TYPE) for each in records] == [False, not by_lines]


def test_all_instructions_of_an_evaluation_loop_are_one_place(harness: Harness) -> None:
    frames = [RawFrame(1 << 56 | 0x4000, 0, 1, 0)]

    def is_new(address: int) -> bool:
        return not harness.count(at(address), frames).startswith(REPEAT_TYPE)

    assert is_new(LOOP)
    assert not any(is_new(address) for address in (LOOP + 1, LOOP + 0xFFF, COLD, COLD + 0xF))
    assert all(is_new(address) for address in (LOOP - 1, LOOP + 0x1000, COLD - 1, COLD + 0x10))


def stack_of(*words: int, rip: int, rbp: int) -> Image:
    """A thread with these words on its stack."""
    registers = list(registers_on(STACK, rip=rip))
    registers[RBP], registers[RSP] = rbp, STACK
    page = struct.pack(f"<{len(words)}Q", *words).ljust(PAGE_BYTES, b"\0")
    return Image({STACK: page}, (WALKER,), thread_pointer=STACK, registers=tuple(registers))


def test_all_calls_out_of_an_evaluation_loop_are_one_place(harness: Harness) -> None:
    """They differ by the interpreter's instruction, and user space shows its frame there."""
    frames = [RawFrame(1 << 56 | 0x5000, 0, 1, 0)]

    def is_new(caller: int) -> bool:
        image = stack_of(0, caller, rip=0x1234, rbp=STACK)
        return not harness.count(image, frames, unwound=True).startswith(REPEAT_TYPE)

    assert [is_new(LOOP + at) for at in (0x20, 0x30, 0x1000, 0x1001)] == [True, False, True, True]
    assert not is_new(COLD + 4)


@pytest.mark.parametrize("by_instructions", [False, True])
def test_all_instructions_of_a_function_are_one_place(harness: Harness, by_instructions: bool) -> None:
    """Where the unwind table knows it: those of the PLT are of many functions, and some have no rule.

    Not where what is inlined in it is shown, too.
    """
    frames = [RawFrame(1 << 56 | 0x6000 | by_instructions, 0, 1, 0)]
    rules = [packed(Cfa.STACK_POINTER, 8, 0), packed(Cfa.STACK_POINTER, 16, 0), packed(Cfa.PLT, 8, 0)]
    rows = array("I", [rules[0], rules[1], rules[0], rules[2], Cfa.UNKNOWN])
    offsets = array("I", [0x100, 0x110, 0x200, 0x300, 0x400])
    table = chunks_of(offsets, rows, array("H", [0, 1, 0, 0, 0]))

    def is_new(offset: int) -> bool:
        image = stack_of(rip=0x1000 + offset, rbp=0)
        record = harness.count(image, frames, by_instructions=by_instructions, unwound=True, table=table)
        return not record.startswith(REPEAT_TYPE)

    places = [0x100, 0x10F, 0x110, 0x1FF, 0x200, 0x2FF, 0x300, 0x301, 0x400, 0x401]
    functions = [0x100, 0x200, 0x300, 0x301, 0x400, 0x401]
    assert [at for at in places if is_new(at)] == (places if by_instructions else functions)
    assert not any(map(is_new, places))


@in_harness
@given(frames=frames, index=st.integers(0, 11), change=st.sampled_from(["address", "checksum"]))
def test_no_other_stack_is_taken_for_it(
    harness: Harness, frames: list[RawFrame], index: int, change: str
) -> None:
    harness.count(IMAGE, frames)
    frame = frames[index % len(frames)]
    frames[index % len(frames)] = frame._replace(**{change: getattr(frame, change) ^ 1})
    record = harness.count(IMAGE, frames)
    if not record.startswith(REPEAT_TYPE):
        assert list(whole(record).interpreter) == frames


def test_every_field_of_the_head_is_hashed_or_said_to_be_left_out() -> None:
    fields = set(read_header("records.h").structs["sample_head"].fields)
    hashed = {"pid", "tid", "start_ns", "comm", "thread_comm", "parent_pid", "uid", "walk_status", "walkers"}
    hashed |= {"user_end", "cgroup", "lacks_table"}
    counts = {"interpreter_frames", "user_frames", "kernel_frames"}
    left_out = {"type", "cpu", "time_ns", "parent_start_ns", "thread_pointer", "stack[0]", "stack[1]"}
    left_out |= {"padding"}
    assert fields == hashed | counts | left_out


def test_a_stack_that_is_copied_comes_whole_each_time(harness: Harness) -> None:
    """What called its frames is not known yet: it equals no other."""
    pages, registers = frame_pointers(20)
    image = Image(pages, (), 1, registers, in_kernel=False)
    for _ in range(2):
        assert whole(harness.count(image, [], lacks_table=True)).lacks_table
    harness.count(image, [], unwound=True)
    assert harness.count(image, [], unwound=True).startswith(REPEAT_TYPE), "as one with a table does not"
