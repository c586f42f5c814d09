"""Functions of PHP, laid out in a fake memory: names, files, lines, and lies."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.errors import Changed, Malformed, ReadFault, SymbolizeError
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.layout import Row
from symbolizers.php.functions import MAX_OPCODES, PhpSymbolizer
from symbolizers.php.kinds import (
    PHP_FUNCTION,
    PHP_INCLUDE,
    PHP_INCLUDE_ONCE,
    PHP_INTERNAL,
    PHP_REQUIRE,
    PHP_REQUIRE_ONCE,
)
from symbolizers.php.layouts import LAYOUTS
from symbolizers.values import MAX_TEXT_BYTES
from tests.support.php_heap import EVAL_CODE, PhpHeap
from tests.support.reads import read_each

"""The position where the walker believes none."""


@pytest.fixture(params=list(LAYOUTS), ids=lambda row: str(row.name))
def heap(request: pytest.FixtureRequest) -> PhpHeap:
    row: Row = request.param
    return PhpHeap(row)


def read(heap: PhpHeap, frame: RawFrame, *, lines: bool = True) -> CodeObject:
    return PhpSymbolizer(heap.row, heap.memory, lines=lines).read(frame)


def test_a_function_has_its_name_file_and_lines(heap: PhpHeap) -> None:
    code = read(heap, heap.frame_of(heap.function(b"App\\run")))
    assert code == CodeObject("php", "App\\run", "/srv/app.php", 3, (0, 64, 96), (3, 4, 7))
    assert [code.line_at(position) for position in (0, 32, 64, 96, -1)] == [3, 3, 4, 7, 3]


def test_without_lines_no_opcode_is_read(heap: PhpHeap) -> None:
    frame = heap.frame_of(heap.function(b"run", opcodes=1 << 40))
    assert read(heap, frame, lines=False).starts == ()
    with pytest.raises(ReadFault):
        read(heap, frame)


def test_a_method_has_its_class(heap: PhpHeap) -> None:
    assert read(heap, heap.frame_of(heap.function(b"m", scope=heap.class_(b"App\\K")))).name == "App\\K::m"


def test_an_anonymous_class_is_called_as_in_messages(heap: PhpHeap) -> None:
    scope = heap.class_(b"class@anonymous\0/srv/app.php:3$0")
    assert read(heap, heap.frame_of(heap.function(b"m", scope=scope))).name == "class@anonymous::m"
    closure = heap.function(b"{closure:class@anonymous\0/srv/app.php:3$1f::m():4}")
    assert read(heap, heap.frame_of(closure)).name == "{closure:class@anonymous::m():4}"
    assert read(heap, heap.frame_of(heap.function(b"cut\0here"))).name == "cut"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PHP_FUNCTION, "{main}"),
        (PHP_INCLUDE, "include"),
        (PHP_INCLUDE_ONCE, "include_once"),
        (PHP_REQUIRE, "require"),
        (PHP_REQUIRE_ONCE, "require_once"),
    ],
)
def test_a_file_is_called_by_how_it_was_loaded(heap: PhpHeap, kind: int, name: str) -> None:
    assert read(heap, heap.frame_of(heap.function(), kind)).name == name


def test_code_of_a_string_is_eval(heap: PhpHeap) -> None:
    function = heap.function(type_=EVAL_CODE, file=b"/srv/app.php(12) : eval()'d code")
    code = read(heap, heap.frame_of(function))
    assert (code.name, code.file) == ("eval", "/srv/app.php(12) : eval()'d code")


def test_an_internal_function_has_no_file(heap: PhpHeap) -> None:
    plain, method = heap.internal(b"usort"), heap.internal(b"uasort", scope=heap.class_(b"ArrayObject"))
    assert read(heap, heap.frame_of(plain, PHP_INTERNAL)) == CodeObject("php", "usort", "", 0)
    assert read(heap, heap.frame_of(method, PHP_INTERNAL)).name == "ArrayObject::uasort"


def test_a_copy_of_a_closure_is_the_same_code(heap: PhpHeap) -> None:
    opcodes = heap.opcodes((3, 3, 4, 7))
    first = heap.function(b"{closure}", opcodes=opcodes)
    copy = heap.place(heap.memory.read(first, heap.row["function_lines"] + 8))
    frames = heap.frame_of(first), heap.frame_of(copy)
    assert frames[0][:3] == frames[1][:3]
    assert read(heap, frames[0]) == read(heap, frames[1])


def test_what_is_another_function_now_is_changed(heap: PhpHeap) -> None:
    function = heap.function(b"run")
    frame = heap.frame_of(function)
    other = heap.function(b"other")
    heap.memory.write(function, heap.memory.read(other, heap.row["function_lines"] + 8))
    with pytest.raises(Changed):
        read(heap, frame)
    internal = heap.frame_of(heap.internal(b"usort"), PHP_INTERNAL)
    with pytest.raises(Changed):
        read(heap, internal._replace(checksum=internal.checksum ^ 1))


def test_a_function_that_changes_while_it_is_read_is_changed(heap: PhpHeap) -> None:
    class Hasty:
        """Frees the function as soon as anything but it was read."""

        def read(self, address: int, size: int) -> bytes:
            content = heap.memory.read(address, size)
            if address != function:
                heap.memory.write(function, bytes(8))
            return content

        def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
            return read_each(self.read, ranges)

    function = heap.function(b"run")
    frame = heap.frame_of(function)
    with pytest.raises(Changed):
        PhpSymbolizer(heap.row, Hasty(), lines=True).read(frame)


def test_a_file_without_a_name_has_none(heap: PhpHeap) -> None:
    function = heap.function(b"run")
    heap.memory.write(function + heap.row["function_filename"], bytes(8))
    assert read(heap, heap.frame_of(function)).file == ""


def test_names_are_text_whatever_they_hold(heap: PhpHeap) -> None:
    assert read(heap, heap.frame_of(heap.function(b"caf\xe9;\n"))).name == "caf\\xe9;\n"
    assert read(heap, heap.frame_of(heap.function("größe".encode()))).name == "größe"
    long = read(heap, heap.frame_of(heap.function(b"n" * 5000))).name
    assert long == "n" * MAX_TEXT_BYTES + "…"


def test_too_many_opcodes_go_without_a_table(heap: PhpHeap) -> None:
    function = heap.function(b"run")
    heap.memory.write(function + heap.row["function_last"], struct.pack("<I", MAX_OPCODES + 1))
    code = read(heap, heap.frame_of(function))
    assert (code.starts, code.line_at(64)) == ((), 3)


@pytest.mark.parametrize("garbage", [0, 1, (1 << 64) - 1, 0x7FFF_FFFF_FFF8, 1 << 40], ids=hex)
def test_any_word_may_lie(heap: PhpHeap, garbage: int) -> None:
    """Each word of a function that points somewhere, replaced, with a checksum that agrees."""
    row, failed = heap.row, 0
    for offset in (8, 16, row["function_opcodes"], row["function_filename"], row["function_lines"]):
        function = heap.function(b"run", scope=heap.class_(b"K"))
        heap.memory.write(function + offset, struct.pack("<Q", garbage))
        try:
            answer = read(heap, heap.frame_of(function)._replace(owner=function))
        except SymbolizeError:
            failed += 1
        else:
            assert isinstance(answer, CodeObject)
    assert failed >= (1 if garbage == 0 else 4)


@given(length=st.integers(0, (1 << 64) - 1), row=st.sampled_from(list(LAYOUTS)))
def test_any_length_of_a_string_is_bounded(length: int, row: Row) -> None:
    heap = PhpHeap(row)
    function = heap.function(b"run")
    name = int.from_bytes(heap.memory.read(function + 8, 8), "little")
    heap.memory.write(name + 16, struct.pack("<Q", length))
    try:
        code = read(heap, heap.frame_of(function))
    except (Malformed, ReadFault):
        return
    assert len(code.name) <= MAX_TEXT_BYTES + 1
