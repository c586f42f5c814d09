"""The native stack: unwind.h, run over forged stacks and tables, against the same rules in Python."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.capture.wire import UserEnd
from symbolizers.elf.unwind_rules import (
    KEEPS_SP,
    RETURN_IN_ARGUMENT,
    ROOT,
    UNFOLLOWED,
    CallersFp,
    Cfa,
    of_register,
    packed,
    packed_fp,
    packed_links,
)
from symbolizers.inspection import CHUNK_ROWS
from symbolizers.native.unwind_table import chunks_of
from tests.support.walkers.harness import PAGE_BYTES, REGISTERS, RIP, RSP, Harness, Image, frame_pointers

STACK, STACK_PAGES = 0x7FFF_0000_0000, 8
CODE = 0x1000
"""Where all code begins: what is mapped is the file from its start on."""
RBP, RDI = 4, 14
GENERAL = 15
"""The words of pt_regs that any code may use for anything."""
MOST_FRAMES = 256
THREAD_POINTER = STACK + 0x800
SP_8 = packed(Cfa.STACK_POINTER, 8, 0)
in_harness = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table(rows: dict[int, int]) -> bytes:
    offsets = sorted(rows)
    rules = array("I", [rows[each] for each in offsets])
    return chunks_of(array("I", offsets), rules, array("H", bytes(2 * len(rules))))


def image_of(
    words: list[int], *, ip: int, sp: int = STACK, fp: int = 0, argument: int = 0, others: int = 0
) -> Image:
    """A thread whose stack holds these words from `STACK` on, and its other registers `others`."""
    content = struct.pack(f"<{len(words)}Q", *words).ljust(STACK_PAGES * PAGE_BYTES, b"\0")
    pages = {STACK + at: content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)}
    registers = [others] * GENERAL + [0] * (REGISTERS - GENERAL)
    registers[RDI] = argument
    registers[RBP], registers[RIP], registers[17], registers[RSP], registers[20] = fp, ip, 0x33, sp, 0x2B
    return Image(pages, (), THREAD_POINTER, tuple(registers), in_kernel=False)


def model(
    words: list[int], rows: dict[int, int], *, ip: int, sp: int, fp: int, argument: int, others: int
) -> tuple[list[int], UserEnd]:
    """The addresses that must come out, leaf first, and how the stack ends."""
    mask, found, exact = (1 << 64) - 1, list[int](), True
    offsets = sorted(rows)

    def read(address: int) -> int:
        at = address & mask
        if not at >= STACK or at + 8 > STACK + STACK_PAGES * PAGE_BYTES:
            raise EOFError
        whole = b"".join(word.to_bytes(8, "little") for word in words).ljust(STACK_PAGES * PAGE_BYTES, b"\0")
        return int.from_bytes(whole[at - STACK : at - STACK + 8], "little")

    try:
        while True:
            if not ip:
                return found, UserEnd.ROOT
            if len(found) == MOST_FRAMES:
                return found, UserEnd.DEEP
            at = (ip - (not exact)) & mask
            is_code = CODE <= at < 1 << 47
            if not is_code and found:
                return found, UserEnd.LOST
            found.append((at + (len(found) > 0)) & mask)
            index = bisect_right(offsets, at - CODE) - 1
            rule = rows[offsets[index]] if is_code and index >= 0 and at - CODE < 1 << 32 else 0
            kind = Cfa(rule & 7)
            if kind is Cfa.ELSEWHERE and not rule >> 3:
                return found, UserEnd.ROOT
            if kind is Cfa.ELSEWHERE:
                at = THREAD_POINTER - (rule >> 4 & 127) * 8
                for link in range(1, 4):
                    at = read(at)
                    if not at:
                        return found, UserEnd.ROOT
                    at += (rule >> (4 + 7 * link) & 127) * 8
                sp, ip_at, exact = read(at), at + 8, False
                if rule >> 3 & 1:
                    sp, ip_at = (sp + 8) & mask, sp
                ip = read(ip_at)
                continue
            if not rule or (kind is Cfa.SIGNAL and rule >> 3 & 0x7FFF):
                if not fp:
                    return found, UserEnd.ROOT
                if (fp - sp) & mask >= 64 << 20:
                    return found, UserEnd.LOST
                kept = fp + signed(rule >> 3, 15) * 8
                fp, ip, sp, exact = read(fp), read(fp + 8), read(kept) if rule else fp + 16, False
                continue
            if kind is Cfa.SIGNAL:
                fp, ip, sp, exact = read(sp + 120), read(sp + 168), read(sp + 160), True
                continue
            cfa = fp if kind in (Cfa.FRAME_POINTER, Cfa.AT_FRAME_POINTER) else sp
            cfa += signed(rule >> 3, 15) * 8
            if kind is Cfa.UNKNOWN:
                register = (rule >> 3 & 15) - 1
                if register < 0 or len(found) > 1:
                    return found, UserEnd.LOST
                cfa = {RBP: fp, RDI: argument}.get(register, others) + signed(rule >> 7, 11) * 8
            if kind is Cfa.PLT and ip & 15 >= 11:
                cfa += 8
            if kind in (Cfa.AT_FRAME_POINTER, Cfa.ABOVE_STACK_POINTER):
                cfa = read(cfa)
            if kind is Cfa.ABOVE_STACK_POINTER:
                cfa += 8
            cfa &= mask
            of_fp = CallersFp(rule >> 18 & 3)
            if of_fp is CallersFp.IN_REGISTER and rule >> 20:
                if len(found) > 1:
                    return found, UserEnd.LOST
                ip, sp, exact = argument, cfa, False
                continue
            if cfa < (sp + (len(found) > 1)) & mask and of_fp is not CallersFp.AT_CFA_ELSEWHERE:
                return found, UserEnd.LOST
            ip, sp, exact = read(cfa - 8), cfa, False
            if of_fp is not CallersFp.IN_REGISTER:
                place = fp if of_fp is CallersFp.AT_FRAME_POINTER else cfa
                fp = read(place + signed(rule >> 20, 12) * 8)
    except EOFError:
        return found, UserEnd.FAULT


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def check(
    harness: Harness,
    words: list[int],
    rows: dict[int, int],
    *,
    ip: int,
    sp: int = STACK,
    fp: int = 0,
    argument: int = 0,
    others: int = 0,
) -> None:
    image = image_of(words, ip=ip, sp=sp, fp=fp, argument=argument, others=others)
    walk = harness.walk(image, unwound=True, table=table(rows))
    expected, end = model(words, rows, ip=ip, sp=sp, fp=fp, argument=argument, others=others)
    assert (list(walk.sample.user), UserEnd(walk.sample.user_end)) == (expected, end)
    assert walk.tail_calls <= 12


def test_frame_pointers_are_followed_where_there_is_no_table(harness: Harness) -> None:
    pages, registers = frame_pointers(20)
    sample = harness.walk(Image(pages, (), 1, registers, in_kernel=False), unwound=True).sample
    assert (len(sample.user), sample.user_end) == (21, UserEnd.ROOT)


def test_functions_without_frame_pointers_are_followed_by_rows(harness: Harness) -> None:
    rows = {
        0: packed(Cfa.STACK_POINTER, 24, 0),
        0x100: SP_8,
        0x200: packed(Cfa.STACK_POINTER, 16, 0),
        0x300: ROOT,
    }
    words = [7, 7, CODE + 0x110, CODE + 0x210, 7, CODE + 0x310]
    sample = harness.walk(image_of(words, ip=CODE + 0x10), unwound=True, table=table(rows)).sample
    assert sample.user == (CODE + 0x10, CODE + 0x110, CODE + 0x210, CODE + 0x310)
    assert sample.user_end == UserEnd.ROOT


def test_a_caller_has_its_own_stack_pointer_where_it_was_kept(harness: Harness) -> None:
    """As below HotSpot's interpreter: a caller's frame was enlarged for the variables of what it calls."""
    rows = {0: packed(KEEPS_SP, -8, 0), 0x100: packed(Cfa.STACK_POINTER, 16, 0), 0x200: ROOT}
    words = [7, STACK + 56, 0, CODE + 0x110, 7, 7, 7, 7, CODE + 0x210]
    image = image_of(words, ip=CODE + 0x10, fp=STACK + 16)
    sample = harness.walk(image, unwound=True, table=table(rows)).sample
    assert sample.user == (CODE + 0x10, CODE + 0x110, CODE + 0x210)
    assert sample.user_end == UserEnd.ROOT


def test_a_return_address_belongs_to_the_function_before_it(harness: Harness) -> None:
    """A call may be the last instruction of a function that never returns."""
    rows = {0: SP_8, 0x100: SP_8, 0x200: ROOT}
    sample = harness.walk(
        image_of([CODE + 0x200, CODE + 0x201], ip=CODE), unwound=True, table=table(rows)
    ).sample
    assert sample.user == (CODE, CODE + 0x200, CODE + 0x201)


@pytest.mark.parametrize("rows", [1, 511, 512, 513, 4096])
def test_every_row_is_found(harness: Harness, rows: int) -> None:
    """By a stack that leads through the first, the last and those beside the edges of chunks."""
    each = {16 * row: packed(Cfa.STACK_POINTER, 8 * (1 + row % 3), 0) for row in range(rows)}
    for row in {0, rows // 2, rows - 1, *(at for at in range(rows) if at % CHUNK_ROWS in (0, 511))}:
        check(harness, [CODE + 16 * row + 1] * 8, each, ip=CODE + 16 * row)


rules = st.one_of(
    st.integers(0, (1 << 32) - 1),
    st.builds(
        packed,
        st.sampled_from((*Cfa, *map(of_register, range(GENERAL)))),
        st.integers(-4, 40).map(lambda words: 8 * words),
        st.builds(packed_fp, st.sampled_from(CallersFp), st.integers(-8, 8).map(lambda words: 8 * words)),
    ),
    st.builds(
        packed_links,
        st.lists(st.integers(0, 20).map(lambda words: 8 * words), min_size=4, max_size=4),
        is_called=st.booleans(),
    ),
)
tables = st.dictionaries(st.integers(0, 63).map(lambda at: 16 * at), rules, min_size=1, max_size=24)
codes = st.integers(CODE, CODE + 1024)
places = st.integers(0, 500).map(lambda at: STACK + 8 * at)
anything = st.one_of(codes, codes, places, places, st.integers(0, (1 << 64) - 1), st.just(0))


@in_harness
@given(
    words=st.lists(anything, min_size=1, max_size=200),
    rows=tables,
    ip=codes,
    sp=places,
    fp=anything,
    argument=anything,
    others=st.one_of(places, anything),
)
def test_whatever_stack_and_table_say_it_ends_as_the_rules_do(
    harness: Harness,
    words: list[int],
    rows: dict[int, int],
    ip: int,
    sp: int,
    fp: int,
    argument: int,
    others: int,
) -> None:
    check(harness, words, rows, ip=ip, sp=sp, fp=fp, argument=argument, others=others)


@pytest.mark.parametrize("is_called", [True, False])
def test_a_stack_goes_on_where_links_lead(harness: Harness, is_called: bool) -> None:
    """As in code that has gone over from a goroutine's stack: by way of what the thread pointer leads to."""
    words = [0] * 300
    words[255], words[102], words[204] = STACK + 800, STACK + 1616, STACK + 1640
    words[210], words[211] = STACK + 2000, CODE + 0x210
    words[250], words[251], words[252] = CODE + 0x210, CODE + 0x310, CODE + 0x310
    rows = {0: packed_links((8, 16, 16, 40), is_called=is_called), 0x200: SP_8, 0x300: ROOT}
    image = image_of(words, ip=CODE + 0x10, sp=STACK + 2300)
    if not is_called:
        words[250] = CODE + 0x310
        image = image_of(words, ip=CODE + 0x10, sp=STACK + 2300)
    sample = harness.walk(image, unwound=True, table=table(rows)).sample
    assert sample.user == (CODE + 0x10, CODE + 0x210, CODE + 0x310)
    words[102] = 0
    check(harness, words, rows, ip=CODE + 0x10, sp=STACK + 2300)


def test_a_frame_pointer_leads_to_a_lower_stack_where_the_rule_says_so(harness: Harness) -> None:
    words = [STACK + 64, CODE + 0x110] + [0] * 100
    for kind, frames in ((CallersFp.AT_CFA_ELSEWHERE, 2), (CallersFp.AT_CFA, 1)):
        rows = {0: packed(Cfa.FRAME_POINTER, 16, packed_fp(kind, -16)), 0x100: ROOT}
        image = image_of(words, ip=CODE, sp=STACK + 400, fp=STACK)
        assert len(harness.walk(image, unwound=True, table=table(rows)).sample.user) == frames


def test_a_return_address_in_a_register_is_known_of_the_first_function_alone(harness: Harness) -> None:
    in_argument = packed(Cfa.STACK_POINTER, 0, RETURN_IN_ARGUMENT)
    rows = {0: in_argument, 0x100: SP_8, 0x200: ROOT}
    for words, ip, expected in (
        ([CODE + 0x210], CODE + 2, (CODE + 2, CODE + 0x110, CODE + 0x210)),
        ([CODE + 3], CODE + 0x100, (CODE + 0x100, CODE + 3)),
    ):
        image = image_of(words, ip=ip, argument=CODE + 0x110)
        assert harness.walk(image, unwound=True, table=table(rows)).sample.user == expected


def test_any_register_leads_from_the_first_function_alone(harness: Harness) -> None:
    by_rbx = packed(of_register(5), 24, packed_fp(CallersFp.AT_CFA, -16))
    rows = {0: by_rbx, 0x100: SP_8, 0x200: ROOT}
    words = [CODE + 3, 0, 0, 7, CODE + 0x210]
    walk = harness.walk(image_of(words, ip=CODE + 2, others=STACK + 16), unwound=True, table=table(rows))
    assert (walk.sample.user, walk.sample.user_end) == ((CODE + 2, CODE + 0x210), UserEnd.ROOT)
    walk = harness.walk(image_of(words, ip=CODE + 0x100, others=STACK + 16), unwound=True, table=table(rows))
    assert (walk.sample.user, walk.sample.user_end) == ((CODE + 0x100, CODE + 3), UserEnd.LOST)


def test_what_no_row_can_say_is_not_a_root(harness: Harness) -> None:
    """Whatever happens to be in the frame pointer there: without a row, 0 would be taken for the root."""
    for fp in (0, STACK + 64):
        image = image_of([CODE + 0x10] * 20, ip=CODE, fp=fp)
        sample = harness.walk(image, unwound=True, table=table({0: UNFOLLOWED})).sample
        assert (sample.user, sample.user_end) == ((CODE,), UserEnd.LOST)


def test_a_leaf_that_took_its_return_address_off_the_stack_has_its_caller(harness: Harness) -> None:
    """OCaml's caml_c_call does: the address still lies below the stack pointer. No caller can do so."""
    rows = {0: packed(Cfa.STACK_POINTER, 0, 0), 0x200: ROOT}
    for return_address, end in ((CODE + 0x210, UserEnd.ROOT), (CODE + 0x10, UserEnd.LOST)):
        image = image_of([return_address], ip=CODE + 4, sp=STACK + 8)
        sample = harness.walk(image, unwound=True, table=table(rows)).sample
        assert (sample.user, sample.user_end) == ((CODE + 4, return_address), end)


def test_a_stack_that_leads_to_itself_ends(harness: Harness) -> None:
    """A signal frame may put the stack pointer anywhere: the number of frames ends it."""
    words = [0] * 64
    words[120 // 8], words[160 // 8], words[168 // 8] = 0, STACK, CODE
    walk = harness.walk(image_of(words, ip=CODE), unwound=True, table=table({0: Cfa.SIGNAL}))
    assert (len(walk.sample.user), walk.sample.user_end) == (MOST_FRAMES, UserEnd.DEEP)
    assert walk.reads == 3 * MOST_FRAMES
