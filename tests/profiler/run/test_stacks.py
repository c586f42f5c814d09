"""Splicing three stacks into one; what is junk stays out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profiler.run.stacks import (
    TRUNCATED,
    CodeMap,
    Element,
    KernelAddress,
    NativeAddress,
    merge,
    native_elements,
)
from symbolizers.frame import NATIVE, Frame
from symbolizers.inspection import CodeMapping
from tests.support.samples import told_file

PROGRAM = CodeMapping(0x1000, 0x3000, 0x400, told_file(11), "/bin/program")
LIBRARY = CodeMapping(0x5000, 0x6000, 0, told_file(12), "/lib/libc.so.6")
GENERATED = CodeMapping(0x8000, 0x9000, 0, None, "")
CODE = CodeMap((PROGRAM, LIBRARY, GENERATED))
LOOP = (0x1800, 0x1900)
JUNK = 0x7777


def in_program(address: int) -> NativeAddress:
    return NativeAddress(told_file(11), address - 0x1000 + 0x400, "/bin/program")


def in_library(address: int) -> NativeAddress:
    return NativeAddress(told_file(12), address - 0x5000, "/lib/libc.so.6")


def native(*user: int, loops: tuple[tuple[int, int], ...] = (), interpreted: bool = False) -> list[Element]:
    return native_elements(user, CODE, loops=loops, interpreted=interpreted)


def python(name: str) -> Frame:
    return Frame("python", name, "app.py", 1)


def test_an_address_belongs_to_the_mapping_around_it_and_to_no_other() -> None:
    assert CODE.find(0xFFF) is None
    assert CODE.find(0x1000) == in_program(0x1000)
    assert CODE.find(0x2FFF) == in_program(0x2FFF)
    assert CODE.find(0x3000) is None
    assert CODE.find(0x5000) == in_library(0x5000)
    assert CODE.find(1 << 64) is None
    assert CodeMap().find(0x1000) is None


def test_code_without_a_file_has_a_frame_at_once() -> None:
    assert CODE.find(0x8123) == Frame(NATIVE, "[anon]")


def test_a_return_address_is_looked_up_where_the_call_is() -> None:
    """A call at the very end of a mapping returns behind it; the leaf's own address stays."""
    assert native(0x1000, 0x3000) == [in_program(0x1000), in_program(0x2FFF)]
    assert native(0x1000, 0x1000) == [in_program(0x1000)]


def test_the_chain_ends_at_the_first_address_that_is_not_code() -> None:
    assert native(0x5010, 0x1100, JUNK, 0x1200) == [in_library(0x5010), in_program(0x10FF)]


def test_nothing_is_believed_above_a_leaf_that_is_not_code() -> None:
    assert native(JUNK, 0x1200) == []
    assert native() == []


def test_what_the_interpreter_loop_called_goes_on_top_of_it() -> None:
    found = native(0x5010, 0x1100, 0x1850, 0x1200, loops=(LOOP,), interpreted=True)
    assert found == [in_library(0x5010), in_program(0x10FF)]


def test_in_the_loop_itself_nothing_goes_on_top() -> None:
    assert native(0x1800, 0x1200, loops=(LOOP,), interpreted=True) == []


def test_without_the_loop_in_the_chain_only_the_leaf_is_known_to_belong_there() -> None:
    assert native(0x5010, 0x1100, 0x1200, loops=(LOOP,), interpreted=True) == [in_library(0x5010)]
    assert native(0x5010, 0x1100, loops=((0, 0),), interpreted=True) == [in_library(0x5010)]


def test_the_loop_is_a_frame_like_any_other_in_a_thread_that_runs_no_interpreter() -> None:
    assert native(0x5010, 0x1850, loops=(LOOP,)) == [in_library(0x5010), in_program(0x184F)]


def test_the_root_comes_first_and_the_kernel_last() -> None:
    merged = merge(
        [python("leaf"), python("root")], [in_library(0x5010)], [0xFFFF_1000, 0xFFFF_2000], truncated=False
    )
    expected = (python("root"), python("leaf"), in_library(0x5010))
    assert merged == (*expected, KernelAddress(0xFFFF_1FFF), KernelAddress(0xFFFF_1000))


def test_a_stack_cut_off_says_so_at_its_root() -> None:
    assert merge([python("leaf")], [], [], truncated=True) == (TRUNCATED, python("leaf"))
    assert merge([], [], [], truncated=False) == ()


addresses = st.integers(0, 0xA000) | st.integers(0, 1 << 64)


@given(st.lists(addresses, max_size=20), st.booleans())
def test_whatever_the_chain_is_only_code_comes_out(user: list[int], interpreted: bool) -> None:
    found = native(*user, loops=(LOOP,), interpreted=interpreted)
    assert len(found) <= len(user)
    plain = native(*user)
    assert found == plain[: len(found)]
