"""How HotSpot's code is left, by instructions as its compilers write them."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.elf.unwind_rules import KEEPS_SP, CallersFp, Cfa, packed, packed_fp
from symbolizers.hotspot.blobs import Blob
from symbolizers.hotspot.rows import keeps_frame_pointer, rows_of

SAVED = packed_fp(CallersFp.AT_CFA, -16)
CALLED = packed(Cfa.STACK_POINTER, 8, 0)
PUSHED = packed(Cfa.STACK_POINTER, 16, SAVED)
FRAMED = packed(Cfa.FRAME_POINTER, 16, SAVED)
INTERPRETED = packed(KEEPS_SP, -8, 0)
BODY_48 = packed(Cfa.STACK_POINTER, 48, SAVED)
BANG, PUSH, ENTER = b"\x89\x84\x24\x00\xc0\xfe\xff", b"\x55", b"\x55\x48\x8b\xec"
SUB_32, ADD_32, POP, RET = b"\x48\x83\xec\x20", b"\x48\x83\xc4\x20", b"\x5d", b"\xc3"
WORK = b"\x90" * 20
JMP = b"\xe9\x10\x20\x30\x40"
POLLS = {
    "none": b"",
    "8": b"\x85\x05\xc3\x00\xc3\x00",
    "8, far": b"\x49\xba\xc3\x00\x00\x10\x20\x7f\x00\x00\x41\x85\x02",
    "11": b"\x4d\x8b\x97\x08\x01\x00\x00\x41\x85\x02",
    "17": b"\x49\x3b\xa7\x38\x03\x00\x00\x0f\x87\xc3\x00\x00\x00",
    "21": b"\x49\x3b\x67\x28\x0f\x87\xc3\x00\x00\x00",
}
"""Of safepoints, by JDK; some of their addresses look like a return."""


def blob(
    *code: bytes, name: str = "nmethod", frame_bytes: int = 48, complete: int = 0, before: bytes = b"\x55"
) -> Blob:
    """Its code behind other content; `complete` counts from its start."""
    whole = b"".join(code)
    start = len(before)
    return Blob(before + whole + RET, start, start + len(whole), name, frame_bytes, start + complete)


def rules(of: Blob) -> list[int]:
    """The rule of each byte of its code."""
    rows = rows_of(of)
    starts = [at for at, _ in rows]
    assert starts == sorted(starts)
    assert starts[0] == of.start
    return [rows[bisect_right(starts, at) - 1][1] for at in range(of.start, of.end)]


def each(*parts: tuple[bytes, int]) -> list[int]:
    return [rule for code, rule in parts for _ in code]


@pytest.mark.parametrize("poll", POLLS.values(), ids=POLLS)
@pytest.mark.parametrize("back", [RET, JMP, b"\x41\xff\xe2"])
def test_a_compiled_method_without_frame_pointer(poll: bytes, back: bytes) -> None:
    parts = (BANG, PUSH, SUB_32, WORK, ADD_32, POP, poll, back, WORK)
    found = rules(blob(*parts, complete=len(BANG + PUSH + SUB_32)))
    expected = (CALLED, CALLED, PUSHED, BODY_48, BODY_48, PUSHED, CALLED, CALLED, BODY_48)
    assert found == each(*zip(parts, expected, strict=True))


def test_a_frame_that_is_made_without_a_push() -> None:
    sub, store = b"\x48\x81\xec\x28\x00\x00\x00", b"\x48\x89\x6c\x24\x20"
    parts = (sub, store, WORK, ADD_32, POP, RET)
    found = rules(blob(*parts, complete=len(sub + store)))
    without_fp = packed(Cfa.STACK_POINTER, 48, 0)
    assert found == each(*zip(parts, (CALLED, without_fp, BODY_48, BODY_48, PUSHED, CALLED), strict=True))


def test_a_stub_that_saves_nothing_but_the_frame_pointer() -> None:
    sub, store = b"\x48\x83\xec\x08", b"\x48\x89\x2c\x24"
    parts = (sub, store, WORK)
    found = rules(blob(*parts, name="UncommonTrapBlob", frame_bytes=16, complete=28))
    assert found == each(*zip(parts, (CALLED, packed(Cfa.STACK_POINTER, 16, 0), PUSHED), strict=True))


def test_a_large_frame() -> None:
    sub, add = (b"\x48\x81" + register + (4096 - 16).to_bytes(4, "little") for register in (b"\xec", b"\xc4"))
    body = packed(Cfa.STACK_POINTER, 4096, SAVED)
    parts = (PUSH, sub, WORK, add, POP, RET)
    found = rules(blob(*parts, frame_bytes=4096, complete=len(PUSH + sub)))
    assert found == each(*zip(parts, (CALLED, PUSHED, body, body, PUSHED, CALLED), strict=True))


def test_a_frame_with_nothing_but_the_frame_pointer() -> None:
    parts = (PUSH, WORK, POP, POLLS["17"], RET, WORK, b"\x5d\x90", WORK)
    found = rules(blob(*parts, frame_bytes=16, complete=1))
    expected = (CALLED, PUSHED, PUSHED, CALLED, CALLED, PUSHED, PUSHED, PUSHED)
    assert found == each(*zip(parts, expected, strict=True))


pieces = st.sampled_from((BANG, PUSH, ENTER, SUB_32, ADD_32, POP, RET, JMP, WORK, *POLLS.values()))


@given(
    code=st.lists(pieces, min_size=1, max_size=30),
    name=st.sampled_from(("nmethod", "Interpreter", "StubRoutines (1)", "_new_array_Java")),
    words=st.integers(0, 1 << 20),
    part=st.floats(0, 1),
)
def test_any_code_has_rows_in_order(code: list[bytes], name: str, words: int, part: float) -> None:
    whole = b"".join(code) + RET
    for frame_bytes in (words * 8, 16, 48):
        of = blob(whole, name=name, frame_bytes=frame_bytes, complete=int(part * len(whole)))
        assert len(rules(of)) == len(whole)


def test_several_ways_back() -> None:
    way = (ADD_32, POP, RET, WORK)
    found = rules(blob(PUSH, SUB_32, *way, *way, complete=5))
    one = each(*zip(way, (BODY_48, PUSHED, CALLED, BODY_48), strict=True))
    assert found == [CALLED, *[PUSHED] * 4, *one, *one]


def test_what_moves_the_stack_pointer_by_another_number_is_no_way_back() -> None:
    parts = (PUSH, SUB_32, b"\x48\x83\xc4\x18\x5d\xc3", WORK)
    assert set(rules(blob(*parts, complete=5))[5:]) == {BODY_48}


def test_a_way_back_of_another_kind_is_short() -> None:
    found = rules(blob(PUSH, SUB_32, ADD_32, POP, b"\x90" * 40, complete=5))
    assert found[9:] == [PUSHED, *[CALLED] * 16, *[BODY_48] * 24]


def test_frame_pointers_that_are_kept() -> None:
    parts = (ENTER, SUB_32, WORK, ADD_32, POP, RET)
    of = blob(*parts, complete=len(ENTER + SUB_32))
    assert rules(of) == [CALLED, *[PUSHED] * 7, *[BODY_48] * 24, PUSHED, CALLED]
    assert keeps_frame_pointer(of)
    assert not keeps_frame_pointer(blob(PUSH, SUB_32, WORK, ENTER, complete=5))
    assert not keeps_frame_pointer(blob(*parts, name="StubRoutines (1)", complete=8))


def test_a_method_whose_frame_is_never_complete() -> None:
    of = blob(WORK, WORK, complete=40)
    assert rules(of) == [*[CALLED] * 39, BODY_48]


@pytest.mark.parametrize("name", ["StubRoutines (1)", "DeoptimizationBlob", "resolve_static_call"])
def test_a_stub_that_makes_a_frame_by_the_frame_pointer(name: str) -> None:
    parts = (WORK, ENTER, WORK, b"\xc9", RET, ENTER, b"\xc9\xc5\xf8\x77", RET, WORK)
    found = rules(blob(*parts, name=name, frame_bytes=0 if "(" in name else 480))
    entered = [CALLED, PUSHED, PUSHED, PUSHED]
    left = [FRAMED, CALLED], [*[FRAMED] * 4, CALLED]
    assert found == [*[FRAMED] * 20, *entered, *[FRAMED] * 20, *left[0], *entered, *left[1], *[FRAMED] * 20]


def test_a_stub_without_frame_pointer_is_left_as_a_method() -> None:
    parts = (PUSH, SUB_32, WORK, ADD_32, POP, RET)
    assert rules(blob(*parts, name="_new_array_Java", complete=5)) == rules(blob(*parts, complete=5))


def test_the_interpreter_keeps_its_callers_stack_pointer() -> None:
    push = b"\x41\x55"
    found = rules(blob(WORK, ENTER, push, WORK, name="Interpreter", frame_bytes=0))
    entered = [CALLED, PUSHED, PUSHED, PUSHED, FRAMED, FRAMED]
    assert found == [*[INTERPRETED] * 20, *entered, *[INTERPRETED] * 20]


@pytest.mark.parametrize("name", ["I2C/C2I adapters", "vtable chunks", "jni_fast_GetIntField"])
def test_code_that_only_jumps_has_no_frame(name: str) -> None:
    assert set(rules(blob(WORK, ENTER, WORK, name=name, frame_bytes=0))) == {CALLED}
