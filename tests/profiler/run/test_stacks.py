"""Splicing three stacks into one; what is junk stays out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profiler.run.stacks import (
    TRUNCATED,
    CodeMap,
    Element,
    Inner,
    KernelAddress,
    Loop,
    NativeAddress,
    Run,
    RunningLine,
    address_in,
    interleave,
    merge,
    native_elements,
    plain,
)
from symbolizers.frame import NATIVE, Frame
from symbolizers.inspection import CodeMapping, generated_by
from symbolizers.process.identity import ProcessId
from tests.support.samples import told_file

PROGRAM = CodeMapping(0x1000, 0x3000, 0x400, told_file(11), "/bin/program")
LIBRARY = CodeMapping(0x5000, 0x6000, 0, told_file(12), "/lib/libc.so.6")
GENERATED = CodeMapping(0x8000, 0x9000, 0, None, "")
EXTENSION = CodeMapping(0x9000, 0xA000, 0, told_file(13), "/lib/extension.so")
PROCESS = generated_by(ProcessId(7, 1), 1000)
CODE = CodeMap((PROGRAM, LIBRARY, GENERATED, EXTENSION), PROCESS)
LOOP = Loop("python", 0x1800, 0x1900)
OTHER_LOOP = Loop("ruby", 0x1A00, 0x1B00)
JUNK = 0x7777


def in_program(address: int) -> NativeAddress:
    return NativeAddress(told_file(11), address - 0x1000 + 0x400, "/bin/program")


def in_library(address: int) -> NativeAddress:
    return NativeAddress(told_file(12), address - 0x5000, "/lib/libc.so.6")


def in_extension(address: int) -> NativeAddress:
    return NativeAddress(told_file(13), address - 0x9000, "/lib/extension.so")


def native(*user: int) -> list[Element]:
    return native_elements(user, CODE)


def mixed(
    *user: int, runs: tuple[str, ...], is_whole: bool = True, language: str = "python"
) -> list[Element]:
    """What shows by default. Each run is of one frame."""
    each = [Run(language, (python(name),)) for name in runs]
    return [*plain(interleave(each, user, CODE, (LOOP, OTHER_LOOP), is_whole=is_whole))]


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


def in_generated(address: int) -> NativeAddress:
    return NativeAddress(PROCESS, address, "")


def test_code_without_a_file_is_the_process_s_own() -> None:
    assert CODE.find(0x8123) == in_generated(0x8123)
    shared = CodeMapping(0x8000, 0x9000, 0, told_file(14), "/dev/zero (deleted)")
    assert CodeMap((shared,), PROCESS).find(0x8123) == NativeAddress(PROCESS, 0x8123, "/dev/zero (deleted)")
    assert CodeMap((GENERATED,)).find(0x8123) == Frame(NATIVE, "[jit]")


def test_generated_code_next_to_an_evaluation_loop_is_what_the_run_shows_already() -> None:
    """A trampoline that called the loop, and what the loop's own frames are compiled to."""
    walked = (0x8010, 0x1810, 0x8020, 0x1820, 0x8030, 0x5010)
    assert mixed(*walked, runs=("inner", "outer")) == [python("inner"), python("outer")]
    walked = (0x5020, 0x8010, 0x1810, 0x5030, 0x8020, 0x5040, 0x1820)
    assert mixed(*walked, runs=("inner", "outer")) == [
        in_library(0x5020),
        python("inner"),
        in_library(0x502F),
        in_generated(0x801F),
        in_library(0x503F),
        python("outer"),
    ]


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
    assert mixed(0x5010, 0x1100, 0x1850, 0x1200, runs=("main",)) == [
        in_library(0x5010),
        in_program(0x10FF),
        python("main"),
    ]


def test_in_the_loop_itself_nothing_goes_on_top() -> None:
    assert mixed(0x1800, 0x1200, runs=("main",)) == [python("main")]


def test_without_the_loop_in_the_chain_only_the_leaf_is_known_to_belong_there() -> None:
    found = mixed(0x5010, 0x1100, 0x1200, runs=("leaf", "main"))
    assert found == [in_library(0x5010), python("leaf"), python("main")]


def test_an_extension_that_calls_back_is_between_the_runs() -> None:
    """The interpreter's own functions there are not shown."""
    user = (0x1850, 0x1100, 0x9010, 0x1200, 0x1860, 0x1300, 0x5010)
    assert mixed(*user, runs=("callback", "main")) == [
        python("callback"),
        in_extension(0x900F),
        python("main"),
    ]


def test_a_program_that_embeds_an_interpreter_is_below() -> None:
    assert mixed(0x1850, 0x1100, 0x9010, 0x5010, runs=("main",)) == [
        python("main"),
        in_extension(0x900F),
        in_library(0x500F),
    ]


def test_a_loop_that_has_no_frame_yet_is_passed_over() -> None:
    user = (0x1850, 0x9010, 0x1860, 0x1300)
    assert mixed(*user, runs=("main",)) == [in_extension(0x900F), python("main")]


def test_a_loop_of_two_functions_is_one_call() -> None:
    user = (0x1850, 0x18F0, 0x9010, 0x1860, 0x18F0, 0x1300)
    found = mixed(*user, runs=("callback", "main"))
    assert found == [python("callback"), in_extension(0x900F), python("main")]


def test_of_a_stack_that_is_not_whole_the_leaf_is_certain() -> None:
    user = (0x1850, 0x9010, 0x1860, 0x9020)
    found = mixed(*user, runs=("leaf", "middle", "main"), is_whole=False)
    assert found == [python("leaf"), in_extension(0x900F), python("middle"), python("main")]


def test_each_language_has_its_own_loop() -> None:
    runs = [Run("python", (python("a"), python("b"))), Run("ruby", (python("c"),))]
    user = (0x1A10, 0x9010, 0x1810, 0x1300)
    found = interleave(runs, user, CODE, (LOOP, OTHER_LOOP), is_whole=True)
    assert [*plain(found)] == [python("c"), in_extension(0x900F), python("a"), python("b")]


def test_what_is_hidden_keeps_its_place_and_a_loop_is_below_its_run() -> None:
    """The interpreter's own function and its loops, a trampoline, and what starts every program."""
    runs = [Run("python", (python("callback"),)), Run("python", (python("main"),))]
    user = (0x1850, 0x8010, 0x1100, 0x9010, 0x1860, 0x5010)
    assert interleave(runs, user, CODE, (LOOP,), is_whole=True) == [
        python("callback"),
        Inner(in_program(0x1850)),
        Inner(in_generated(0x800F)),
        Inner(in_program(0x10FF)),
        in_extension(0x900F),
        python("main"),
        Inner(in_program(0x185F)),
        Inner(in_library(0x500F)),
    ]


def test_without_the_loop_all_but_the_leaf_is_hidden() -> None:
    found = interleave([Run("python", (python("main"),))], (0x5010, 0x1100), CODE, (LOOP,), is_whole=True)
    assert found == [in_library(0x5010), Inner(in_program(0x10FF)), python("main")]


def test_by_default_neither_lines_nor_hidden_frames_show() -> None:
    leaf = in_library(0x5010)
    assert plain((RunningLine(python("f"), 7), Inner(leaf), leaf)) == (python("f"), leaf)
    assert [address_in(each) for each in (leaf, Inner(leaf), python("f"))] == [leaf, leaf, None]


def test_the_root_comes_first_and_the_kernel_last() -> None:
    stack = [in_library(0x5010), python("leaf"), python("root")]
    merged = merge(stack, [0xFFFF_1000, 0xFFFF_2000], truncated=False)
    expected = (python("root"), python("leaf"), in_library(0x5010))
    assert merged == (*expected, KernelAddress(0xFFFF_1FFF), KernelAddress(0xFFFF_1000))


def test_a_stack_cut_off_says_so_at_its_root() -> None:
    assert merge([python("leaf")], [], truncated=True) == (TRUNCATED, python("leaf"))
    assert merge([], [], truncated=False) == ()


addresses = st.integers(0, 0xA000) | st.integers(0, 1 << 64)


@given(
    st.lists(addresses, max_size=20), st.lists(st.sampled_from(["python", "ruby"]), max_size=6), st.booleans()
)
def test_whatever_the_chain_is_every_run_comes_out_once_and_only_code(
    user: list[int], languages: list[str], is_whole: bool
) -> None:
    runs = [Run(language, (python(str(number)),)) for number, language in enumerate(languages)]
    found = interleave(runs, user, CODE, (LOOP, OTHER_LOOP), is_whole=is_whole)
    frames = [each for each in found if isinstance(each, Frame) and each.kind == "python"]
    assert sorted(frames) == [run.frames[0] for run in runs]
    for language in languages:
        of_one = [run.frames[0] for run in runs if run.language == language]
        assert [each for each in frames if each in of_one] == of_one
    places = [each.of if isinstance(each, Inner) else each for each in found if each not in frames]
    possible = iter(native(*user))
    assert all(each in possible for each in places), "native frames keep their order"
