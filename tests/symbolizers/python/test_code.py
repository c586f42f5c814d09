"""Reading code objects from a fake heap: every form of a string, every way that memory can lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbolizers.errors import Changed, Malformed, ReadFault
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.layout import Row
from symbolizers.python.code import (
    MAX_FILE_CHARACTERS,
    MAX_LINE_TABLE_BYTES,
    MAX_NAME_CHARACTERS,
    PythonSymbolizer,
    TypeAddresses,
)
from symbolizers.python.language import PythonFile
from symbolizers.python.layouts import LAYOUTS
from tests.support.heap import PAGE_BYTES, PythonHeap

ROWS = tuple(LAYOUTS)
NEWEST = ROWS[-1]
BIAS = 0x5555_0000_0000

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


def name_of(row: Row) -> str:
    return row.name


@pytest.fixture(params=ROWS, ids=name_of)
def heap(request: pytest.FixtureRequest) -> PythonHeap:
    """Of every version."""
    return PythonHeap(request.param)


@pytest.fixture(params=[row for row in ROWS if row.capabilities["strings"] == "str"], ids=name_of)
def str_heap(request: pytest.FixtureRequest) -> PythonHeap:
    """A heap of every version whose names are ``str`` objects."""
    return PythonHeap(request.param)


def reader(heap: PythonHeap, *, lines: bool = False, exported: bool = True) -> PythonSymbolizer:
    """A symbolizer as a session makes it, for a file whose load bias is `BIAS`."""
    types = (heap.code_type, heap.str_type, heap.bytes_type) if exported else (BIAS, BIAS, BIAS)
    in_file = TypeAddresses(*(address - BIAS for address in types))
    file = PythonFile(
        version="3.11.2", series=(3, 11), row=heap.row, root=0x1000, loop=(0x10, 0x20), types=in_file
    )
    return file.symbolizer(file.attach(BIAS), heap.memory, lines=lines)


def simple_code(heap: PythonHeap, name: str = "main", *, table: bytes = b"") -> int:
    return heap.add_code(
        heap.add_name("/srv/app.py"),
        heap.add_name(name),
        table=heap.add_bytes(table or heap.line_table),
        first_line=7,
    )


class TestNames:
    @pytest.mark.parametrize("legacy", [False, True], ids=["compact", "legacy"])
    @pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:24])
    def test_every_form_of_a_string_is_read(self, str_heap: PythonHeap, text: str, legacy: bool) -> None:
        code = str_heap.add_code(
            str_heap.add_str(text, legacy=legacy), str_heap.add_str(text, legacy=legacy), first_line=3
        )
        found = reader(str_heap).read(str_heap.frame(code))
        assert found == CodeObject("python", text, text, 3)

    def test_long_texts_are_cut(self, heap: PythonHeap) -> None:
        code = heap.add_code(heap.add_name("/" * 5000), heap.add_name("x" * 5000))
        found = reader(heap).read(heap.frame(code))
        assert found.name == "x" * MAX_NAME_CHARACTERS
        assert found.file == "/" * MAX_FILE_CHARACTERS

    def test_characters_are_counted_not_bytes(self, str_heap: PythonHeap) -> None:
        code = str_heap.add_code(str_heap.add_str("f"), str_heap.add_str("ж" * 5000))
        assert reader(str_heap).read(str_heap.frame(code)).name == "ж" * MAX_NAME_CHARACTERS

    def test_a_subclass_of_str_is_a_name_too(self, str_heap: PythonHeap) -> None:
        subclass = str_heap.add_type("Path", flags=1 << 28 | 1 << 9)
        code = str_heap.add_code(
            str_heap.add_str("f", legacy=True, type_address=subclass), str_heap.add_str("main")
        )
        assert reader(str_heap).read(str_heap.frame(code)).file == "f"

    def test_copies_of_the_types_are_recognised(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        symbolizer = reader(heap, lines=True, exported=False)
        assert symbolizer.read(frame).name == "main"
        heap.memory.calls = 0
        assert symbolizer.read(frame).name == "main"
        assert heap.memory.calls == 3, "what is known of a type is not read again"

    def test_a_negative_first_line_is_unknown(self, heap: PythonHeap) -> None:
        code = heap.add_code(heap.add_name("f"), heap.add_name("g"), first_line=-4)
        assert reader(heap).read(heap.frame(code)).first_line == 0

    @pytest.mark.parametrize(
        ("name", "text"),
        [(b"main", "main"), ("имя".encode(), "имя"), (b"\xff\xfe.py", "\udcff\udcfe.py"), (b"", "")],
    )
    def test_names_of_bytes_are_decoded_as_paths_are(self, name: bytes, text: str) -> None:
        heap = PythonHeap(LAYOUTS.named("cpython-2.7"))
        code = heap.add_code(heap.add_bytes(name), heap.add_bytes(name))
        assert reader(heap).read(heap.frame(code)) == CodeObject("python", text, text, 1)


class TestLines:
    def test_lines_are_read_only_when_asked_for(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        found = reader(heap, lines=True).read(frame)
        assert (found.starts, found.lines) == ((0, 4), (7, 8))
        assert [found.line_at(position) for position in (-2, 0, 2, 4)] == [7, 7, 7, 8]
        assert reader(heap).read(frame).starts == ()

    def test_a_broken_table_hurts_only_who_wants_lines(self) -> None:
        heap = PythonHeap(NEWEST)
        frame = heap.frame(simple_code(heap, table=b"\x01\x02"))
        assert reader(heap).read(frame).name == "main"
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(frame)

    def test_a_table_that_is_too_long_is_left_out(self, heap: PythonHeap) -> None:
        table = heap.add_bytes(heap.line_table)
        heap.words(table, {"bytes_size": MAX_LINE_TABLE_BYTES + 1})
        code = heap.add_code(heap.add_name("f"), heap.add_name("main"), table=table, first_line=9)
        found = reader(heap, lines=True).read(heap.frame(code))
        assert (found.starts, found.line_at(0)) == ((), 9)

    def test_a_table_longer_than_the_first_read(self) -> None:
        heap = PythonHeap(NEWEST)
        found = reader(heap, lines=True).read(heap.frame(simple_code(heap, table=heap.line_table * 2000)))
        assert len(found.starts) == 2001
        assert found.lines[-1] == 7 + 2000


class TestReads:
    def test_three_system_calls_are_enough(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        heap.memory.calls = 0
        reader(heap, lines=True).read(frame)
        assert heap.memory.calls == 3

    @pytest.mark.parametrize("text", ["at the end", "в конце"])
    def test_the_page_behind_a_string_is_not_needed(self, str_heap: PythonHeap, text: str) -> None:
        head = str_heap.row["unicode_ascii_data" if text.isascii() else "unicode_compact_data"]
        size = head + len(text.encode("latin-1" if text.isascii() else "utf-16-le"))
        terminator = 1 if text.isascii() else 2
        name = str_heap.add_str(text, at=(0x7F99_0000_0000 + 2 * PAGE_BYTES - size - terminator) & ~7)
        assert (name // PAGE_BYTES + 1) not in str_heap.memory.pages
        code = str_heap.add_code(str_heap.add_str("f"), name)
        assert reader(str_heap).read(str_heap.frame(code)).name == text

    def test_a_string_across_pages_is_read(self, str_heap: PythonHeap) -> None:
        name = str_heap.add_str("x" * 100, at=0x7F99_0000_0000 - 64)
        code = str_heap.add_code(str_heap.add_str("f"), name)
        assert reader(str_heap).read(str_heap.frame(code)).name == "x" * 100

    def test_a_fault_says_where_and_a_later_try_succeeds(self, str_heap: PythonHeap) -> None:
        name = str_heap.add_str("x" * 100, at=0x7F99_0000_0000 - 64)
        frame = str_heap.frame(str_heap.add_code(str_heap.add_str("f"), name))
        symbolizer = reader(str_heap)
        page = bytes(str_heap.memory.pages[0x7F99_0000_0000 // PAGE_BYTES])
        str_heap.memory.evict(0x7F99_0000_0000)
        with pytest.raises(ReadFault) as caught:
            symbolizer.read(frame)
        assert caught.value.address == 0x7F99_0000_0000
        str_heap.memory.write(0x7F99_0000_0000, page)
        assert symbolizer.read(frame).name == "x" * 100

    def test_the_line_table_may_be_missing_when_it_is_not_wanted(self, heap: PythonHeap) -> None:
        heap.next_address = 0x7F99_0000_0000
        table = heap.add_bytes(heap.line_table)
        heap.next_address = 0x7F9A_0000_0000
        frame = heap.frame(heap.add_code(heap.add_name("f"), heap.add_name("main"), table=table))
        heap.memory.evict(table)
        assert reader(heap).read(frame).name == "main"
        with pytest.raises(ReadFault):
            reader(heap, lines=True).read(frame)


class TestChanged:
    def test_another_checksum(self, heap: PythonHeap) -> None:
        frame = heap.frame(simple_code(heap))
        with pytest.raises(Changed):
            reader(heap).read(frame._replace(checksum=frame.checksum ^ 1))

    @pytest.mark.parametrize("field", ["code_checksum", "name", "code_filename", "code_linetable"])
    def test_every_word_of_the_region_counts(self, heap: PythonHeap, field: str) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        heap.words(code, {heap.name_field if field == "name" else field: heap.add_name("other")})
        with pytest.raises(Changed):
            reader(heap).read(frame)

    @pytest.mark.parametrize("references", [0, 0x7F12_3456_7890, 1 << 63])
    @pytest.mark.parametrize("row", [row for row in ROWS if row.has("object_refcount")], ids=name_of)
    def test_a_freed_object(self, row: Row, references: int) -> None:
        heap = PythonHeap(row)
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

    def test_the_flags_of_an_immortal_object_are_no_sign_of_a_freed_one(self) -> None:
        heap = PythonHeap(LAYOUTS.named("cpython-3.14"))
        code = simple_code(heap)
        heap.words(code, {"object_refcount": 5 << 48 | 3 << 30})
        assert reader(heap).read(heap.frame(code)).name == "main"

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
        header_bytes = heap.row["object_type"] + 8
        heap.memory.write(code + header_bytes, b"\xff" * (heap.row["code_checksum"] - header_bytes))
        heap.memory.write(code + heap.row["code_linetable"] + 8, b"\xff" * 48)
        assert reader(heap).read(frame).name == "main"

    def test_an_object_that_is_replaced_while_it_is_read(self, heap: PythonHeap) -> None:
        code = simple_code(heap)
        frame = heap.frame(code)
        other = heap.add_name("other")
        heap.memory.before_read_many = lambda: heap.words(code, {heap.name_field: other})
        with pytest.raises(Changed, match="while it was read"):
            reader(heap).read(frame)


class TestHostile:
    @pytest.mark.parametrize("length", [(1 << 40) + 1, 1 << 62, 1 << 63, (1 << 64) - 1])
    def test_a_length_that_is_none(self, str_heap: PythonHeap, length: int) -> None:
        name = str_heap.add_str("main")
        frame = str_heap.frame(str_heap.add_code(str_heap.add_str("f"), name))
        str_heap.words(name, {"unicode_length": length})
        with pytest.raises(Malformed):
            reader(str_heap).read(frame)

    def test_a_line_table_length_that_is_none(self, heap: PythonHeap) -> None:
        table = heap.add_bytes(heap.line_table)
        frame = heap.frame(heap.add_code(heap.add_name("f"), heap.add_name("g"), table=table))
        heap.words(table, {"bytes_size": 1 << 63})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(frame)

    @pytest.mark.parametrize("kind", [0, 3, 5, 6, 7])
    def test_an_unknown_kind(self, str_heap: PythonHeap, kind: int) -> None:
        name = str_heap.add_str("main")
        frame = str_heap.frame(str_heap.add_code(str_heap.add_str("f"), name))
        state = kind << str_heap.row["unicode_kind_bit"] | 1 << str_heap.row["unicode_compact_bit"]
        str_heap.words(name, {"unicode_state": state})
        with pytest.raises(Malformed):
            reader(str_heap).read(frame)

    def test_a_character_beyond_unicode(self, str_heap: PythonHeap) -> None:
        name = str_heap.add_str("😀")
        frame = str_heap.frame(str_heap.add_code(str_heap.add_str("f"), name))
        str_heap.memory.write(name + str_heap.row["unicode_compact_data"], b"\xff" * 4)
        with pytest.raises(Malformed):
            reader(str_heap).read(frame)

    @pytest.mark.parametrize("pointer", [0, 1, 1 << 56, (1 << 64) - 8])
    @pytest.mark.parametrize("field", ["code_filename", "name", "code_linetable"])
    def test_a_pointer_that_is_none(self, heap: PythonHeap, field: str, pointer: int) -> None:
        code = simple_code(heap)
        heap.words(code, {heap.name_field if field == "name" else field: pointer})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(heap.frame(code))

    @pytest.mark.parametrize("field", ["code_filename", "name", "code_linetable"])
    def test_a_part_of_another_type(self, heap: PythonHeap, field: str) -> None:
        code = simple_code(heap)
        wrong = simple_code(heap)
        heap.words(code, {heap.name_field if field == "name" else field: wrong})
        with pytest.raises(Malformed):
            reader(heap, lines=True).read(heap.frame(code))

    @pytest.mark.parametrize("address", [0, 4, 3 << 56])
    def test_an_address_that_is_none(self, heap: PythonHeap, address: int) -> None:
        with pytest.raises(Malformed):
            reader(heap).read(RawFrame(address, 0, 0))

    @given(
        row=st.sampled_from(ROWS),
        part=st.sampled_from(["code", "file", "name", "table", "type"]),
        data=st.data(),
    )
    @settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def test_any_bytes_are_named_or_refused(self, row: Row, part: str, data: st.DataObject) -> None:
        heap = PythonHeap(row)
        file, name, table = heap.add_name("f"), heap.add_name("имя"), heap.add_bytes(heap.line_table)
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
