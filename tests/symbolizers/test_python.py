"""Reading code objects from a fake heap: every form of a string, every way that memory can lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbolizers.errors import Changed, Malformed, ReadFault
from symbolizers.frame import CodeObject, FrameKind, RawFrame
from symbolizers.layouts.cpython import LAYOUTS
from symbolizers.python import (
    MAX_FILE_CHARACTERS,
    MAX_LINE_TABLE_BYTES,
    MAX_NAME_CHARACTERS,
    PythonFile,
    PythonSymbolizer,
    TypeAddresses,
)
from tests.symbolizers.heap import PAGE_BYTES, PythonHeap

ROW = LAYOUTS.named("cpython-3.11")
BIAS = 0x5555_0000_0000
TABLE = bytes([0x80 | 10 << 3 | 1, 0, 0, 0x80 | 11 << 3, 0, 0])
"""Two code units on the first line, one on the next."""

TEXTS = [
    "",
    "main",
    "naïve.Façade",
    "функция.<locals>.<lambda>",
    "名前" * 100,
    "😀.class",
    "\ud800 alone",
    "\ud83d\ude00 as two characters",
    "new\nline;\x00nul",
]


@pytest.fixture
def heap() -> PythonHeap:
    return PythonHeap(ROW)


def reader(heap: PythonHeap, *, lines: bool = False, exported: bool = True) -> PythonSymbolizer:
    """A symbolizer as a session makes it, for a file whose load bias is `BIAS`."""
    types = (heap.code_type, heap.str_type, heap.bytes_type) if exported else (BIAS, BIAS, BIAS)
    in_file = TypeAddresses(*(address - BIAS for address in types))
    file = PythonFile(version="3.11.2", row=ROW, root=0x1000, loop=(0x10, 0x20), types=in_file)
    return file.symbolizer(file.attach(BIAS), heap.memory, lines=lines)


def simple_code(heap: PythonHeap, name: str = "main", *, table: bytes = TABLE) -> int:
    return heap.add_code(
        heap.add_str("/srv/app.py"), heap.add_str(name), table=heap.add_bytes(table), first_line=7
    )


class TestNames:
    @pytest.mark.parametrize("legacy", [False, True], ids=["compact", "legacy"])
    @pytest.mark.parametrize("text", TEXTS, ids=ascii)
    def test_every_form_of_a_string_is_read(self, heap: PythonHeap, text: str, legacy: bool) -> None:
        code = heap.add_code(
            heap.add_str(text, legacy=legacy), heap.add_str(text, legacy=legacy), first_line=3
        )
        found = reader(heap).read(heap.frame(code))
        assert found == CodeObject(FrameKind.PYTHON, text, text, 3)

    def test_long_texts_are_cut(self, heap: PythonHeap) -> None:
        code = heap.add_code(heap.add_str("/" * 5000), heap.add_str("ж" * 5000))
        found = reader(heap).read(heap.frame(code))
        assert found.name == "ж" * MAX_NAME_CHARACTERS
        assert found.file == "/" * MAX_FILE_CHARACTERS

    def test_a_subclass_of_str_is_a_name_too(self, heap: PythonHeap) -> None:
        subclass = heap.add_type("Path", flags=1 << 28 | 1 << 9)
        code = heap.add_code(heap.add_str("f", legacy=True, type_address=subclass), heap.add_str("main"))
        assert reader(heap).read(heap.frame(code)).file == "f"

    def test_copies_of_the_types_are_recognised(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        symbolizer = reader(heap, lines=True, exported=False)
        assert symbolizer.read(frame).name == "main"
        heap.memory.calls = 0
        assert symbolizer.read(frame).name == "main"
        assert heap.memory.calls == 3, "what is known of a type is not read again"

    def test_a_negative_first_line_is_unknown(self, heap: PythonHeap) -> None:
        code = heap.add_code(heap.add_str("f"), heap.add_str("g"), first_line=-4)
        assert reader(heap).read(heap.frame(code)).first_line == 0


class TestLines:
    def test_lines_are_read_only_when_asked_for(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        found = reader(heap, lines=True).read(frame)
        assert (found.starts, found.lines) == ((0, 4), (7, 8))
        assert [found.line_at(position) for position in (0xFFFF_FFFE, 0, 2, 4)] == [7, 7, 7, 8]
        assert reader(heap).read(frame).starts == ()

    def test_a_broken_table_hurts_only_who_wants_lines(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap, table=b"\x01\x02"))
        assert reader(heap).read(frame).name == "main"
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(frame)

    def test_a_table_that_is_too_long_is_left_out(self, heap: PythonHeap) -> None:
        table = heap.add_bytes(TABLE)
        heap.words(table, {"bytes_size": MAX_LINE_TABLE_BYTES + 1})
        code = heap.add_code(heap.add_str("f"), heap.add_str("main"), table=table, first_line=9)
        found = reader(heap, lines=True).read(heap.frame(code))
        assert (found.starts, found.line_at(0)) == ((), 9)

    def test_a_table_longer_than_the_first_read(self, heap: PythonHeap) -> None:
        found = reader(heap, lines=True).read(heap.frame(simple_code(heap, table=TABLE * 2000)))
        assert len(found.starts) == 2001
        assert found.lines[-1] == 7 + 2000


class TestReads:
    def test_three_system_calls_are_enough(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        heap.memory.calls = 0
        reader(heap, lines=True).read(frame)
        assert heap.memory.calls == 3

    @pytest.mark.parametrize("text", ["at the end", "в конце"])
    def test_the_page_behind_a_string_is_not_needed(self, heap: PythonHeap, text: str) -> None:
        size = (48 if text.isascii() else 72) + len(text.encode("latin-1" if text.isascii() else "utf-16-le"))
        terminator = 1 if text.isascii() else 2
        name = heap.add_str(text, at=(0x7F99_0000_0000 + 2 * PAGE_BYTES - size - terminator) & ~7)
        assert (name // PAGE_BYTES + 1) not in heap.memory.pages
        code = heap.add_code(heap.add_str("f"), name)
        assert reader(heap).read(heap.frame(code)).name == text

    def test_a_string_across_pages_is_read(self, heap: PythonHeap) -> None:
        name = heap.add_str("x" * 100, at=0x7F99_0000_0000 - 64)
        code = heap.add_code(heap.add_str("f"), name)
        assert reader(heap).read(heap.frame(code)).name == "x" * 100

    def test_a_fault_says_where_and_a_later_try_succeeds(self, heap: PythonHeap) -> None:
        name = heap.add_str("x" * 100, at=0x7F99_0000_0000 - 64)
        frame = heap.frame(heap.add_code(heap.add_str("f"), name))
        symbolizer = reader(heap)
        page = bytes(heap.memory.pages[0x7F99_0000_0000 // PAGE_BYTES])
        heap.memory.evict(0x7F99_0000_0000)
        with pytest.raises(ReadFault) as caught:
            symbolizer.read(frame)
        assert caught.value.address == 0x7F99_0000_0000
        heap.memory.write(0x7F99_0000_0000, page)
        assert symbolizer.read(frame).name == "x" * 100

    def test_the_line_table_may_be_missing_when_it_is_not_wanted(self, heap: PythonHeap) -> None:
        heap.next_address = 0x7F99_0000_0000
        table = heap.add_bytes(TABLE)
        heap.next_address = 0x7F9A_0000_0000
        frame = heap.frame(heap.add_code(heap.add_str("f"), heap.add_str("main"), table=table))
        heap.memory.evict(table)
        assert reader(heap).read(frame).name == "main"
        with pytest.raises(ReadFault):
            reader(heap, lines=True).read(frame)


class TestChanged:
    def test_another_checksum(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        with pytest.raises(Changed):
            reader(heap).read(frame._replace(checksum=frame.checksum ^ 1))

    @pytest.mark.parametrize("field", ["code_checksum", "code_qualname", "code_filename", "code_linetable"])
    def test_every_word_of_the_region_counts(self, heap: PythonHeap, field: str) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.words(code, {field: heap.add_str("other")})
        with pytest.raises(Changed):
            reader(heap).read(frame)

    @pytest.mark.parametrize("references", [0, 0x7F12_3456_7890, 1 << 63])
    def test_a_freed_object(self, heap: PythonHeap, references: int) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.words(code, {"object_refcount": references})
        with pytest.raises(Changed):
            reader(heap).read(frame)

    @pytest.mark.parametrize("type_address", [0, 7, 0x1234_5678_9ABC_DEF0, 0x7F77_0000_0000, 1 << 63])
    def test_a_type_that_is_none(self, heap: PythonHeap, type_address: int) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.words(code, {"object_type": type_address})
        with pytest.raises(Changed):
            reader(heap).read(frame)

    def test_another_type(self, heap: PythonHeap) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.words(code, {"object_type": heap.str_type})
        with pytest.raises(Changed):
            reader(heap).read(frame)

    def test_counters_that_the_interpreter_bumps_do_not_count(self, heap: PythonHeap) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.memory.write(code, struct.pack("<Q", 3))
        heap.memory.write(code + ROW["code_checksum"] - 8, b"\xff" * 8)
        heap.memory.write(code + ROW["code_linetable"] + 8, b"\xff" * 48)
        assert reader(heap).read(frame).name == "main"

    def test_an_object_that_is_replaced_while_it_is_read(self, heap: PythonHeap) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        other = heap.add_str("other")
        heap.memory.before_read_many = lambda: heap.words(code, {"code_qualname": other})
        with pytest.raises(Changed, match="while it was read"):
            reader(heap).read(frame)


class TestHostile:
    @pytest.mark.parametrize("length", [(1 << 40) + 1, 1 << 62, 1 << 63, (1 << 64) - 1])
    def test_a_length_that_is_none(self, heap: PythonHeap, length: int) -> None:
        name = heap.add_str("main")
        frame = heap.frame(heap.add_code(heap.add_str("f"), name))
        heap.words(name, {"unicode_length": length})
        with pytest.raises(Malformed):
            reader(heap).read(frame)

    def test_a_line_table_length_that_is_none(self, heap: PythonHeap) -> None:
        table = heap.add_bytes(TABLE)
        frame = heap.frame(heap.add_code(heap.add_str("f"), heap.add_str("g"), table=table))
        heap.words(table, {"bytes_size": 1 << 63})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(frame)

    @pytest.mark.parametrize("kind", [0, 3, 5, 6, 7])
    def test_an_unknown_kind(self, heap: PythonHeap, kind: int) -> None:
        name = heap.add_str("main")
        frame = heap.frame(heap.add_code(heap.add_str("f"), name))
        state = kind << ROW["unicode_kind_bit"] | 1 << ROW["unicode_compact_bit"]
        heap.words(name, {"unicode_state": state})
        with pytest.raises(Malformed):
            reader(heap).read(frame)

    def test_a_character_beyond_unicode(self, heap: PythonHeap) -> None:
        name = heap.add_str("😀")
        frame = heap.frame(heap.add_code(heap.add_str("f"), name))
        heap.memory.write(name + ROW["unicode_compact_data"], b"\xff" * 4)
        with pytest.raises(Malformed):
            reader(heap).read(frame)

    @pytest.mark.parametrize("pointer", [0, 1, 1 << 56, (1 << 64) - 8])
    @pytest.mark.parametrize("field", ["code_filename", "code_qualname", "code_linetable"])
    def test_a_pointer_that_is_none(self, heap: PythonHeap, field: str, pointer: int) -> None:
        code = simple_code(heap)
        heap.words(code, {field: pointer})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(heap.frame(code))

    @pytest.mark.parametrize("field", ["code_filename", "code_qualname", "code_linetable"])
    def test_a_part_of_another_type(self, heap: PythonHeap, field: str) -> None:
        code = simple_code(heap)
        wrong = heap.add_bytes(b"no") if field != "code_linetable" else heap.add_str("no")
        heap.words(code, {field: wrong})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(heap.frame(code))

    @pytest.mark.parametrize("address", [0, 4, 3 << 56])
    def test_an_address_that_is_none(self, heap: PythonHeap, address: int) -> None:
        with pytest.raises(Malformed):
            reader(heap).read(RawFrame(address, 0, 0))

    @given(part=st.sampled_from(["code", "file", "name", "table", "type"]), data=st.data())
    @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def test_any_bytes_are_named_or_refused(self, part: str, data: st.DataObject) -> None:
        heap = PythonHeap(ROW)
        file, name, table = heap.add_str("f"), heap.add_str("имя", legacy=True), heap.add_bytes(TABLE)
        code = heap.add_code(file, name, table=table)
        target = {"code": code, "file": file, "name": name, "table": table, "type": heap.str_type}[part]
        offset = data.draw(st.integers(0, 150 if part == "code" else 80))
        special = st.sampled_from(
            [0, 1, 1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1, heap.str_type, table, name]
        )
        heap.memory.write(target + offset, data.draw(special).to_bytes(8, "little"))
        symbolizer = reader(heap, lines=True, exported=data.draw(st.booleans()))
        try:
            found = symbolizer.read(heap.frame(code))
        except (ReadFault, Changed, Malformed):
            return
        assert len(found.name) <= MAX_NAME_CHARACTERS
        assert len(found.file) <= MAX_FILE_CHARACTERS
