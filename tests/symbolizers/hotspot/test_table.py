"""The table of a code cache, whose every number may be a lie."""

from __future__ import annotations

import struct
from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.elf.unwind_rules import AWAITED, CallersFp, Cfa, packed, packed_fp
from symbolizers.errors import Malformed, SymbolizeError
from symbolizers.hotspot import blobs, table
from symbolizers.hotspot.table import GeneratedTable, read_table
from symbolizers.inspection import CHUNK_BYTES, CHUNK_ROWS
from tests.support.hotspot_forge import (
    DESCRIPTION,
    HEAP_BYTES,
    JDK_17,
    JDK_25,
    LOW,
    OBJECTS,
    STRIDE,
    ForgedJvm,
    Layout,
    Piece,
)

BODY = packed(Cfa.STACK_POINTER, 48, packed_fp(CallersFp.AT_CFA, -16))
CALLED = packed(Cfa.STACK_POINTER, 8, 0)
METHOD = Piece(b"\x55\x48\x83\xec\x20" + b"\x90" * 50, frame_words=6, complete=5)
FRAMED = Piece(b"\x55\x48\x8b\xec\x48\x83\xec\x20" + b"\x90" * 50, frame_words=6, complete=8)
JUMPS = Piece(b"\x90" * 30, "I2C/C2I adapters")


def rule_at(found: GeneratedTable, address: int) -> int:
    """As the sampler finds it."""
    offsets: list[int] = []
    rules: list[int] = []
    for at in range(0, len(found.chunks), CHUNK_BYTES):
        offsets += struct.unpack_from(f"<{CHUNK_ROWS}I", found.chunks, at)
        rules += struct.unpack_from(f"<{CHUNK_ROWS}I", found.chunks, at + 4 * CHUNK_ROWS)
    assert offsets == sorted(offsets)
    return rules[bisect_right(offsets, address - found.base) - 1] if address >= found.base else 0


@pytest.mark.parametrize("layout", [JDK_17, JDK_25], ids=["17", "25"])
def test_every_blob_of_every_heap_has_its_rules(layout: Layout) -> None:
    jvm = ForgedJvm([[METHOD, JUMPS, METHOD._replace(used=False)], [], [METHOD]], layout)
    found = read_table(jvm.cache(), {})
    method, jumps, free, last = jvm.starts
    assert found.base == LOW
    assert [rule_at(found, start + 20) for start in jvm.starts] == [BODY, CALLED, AWAITED, BODY]
    assert [rule_at(found, start) for start in (method, last)] == [CALLED, CALLED]
    behind = (method + len(METHOD.code), jumps - 1, free - 1, LOW + 3 * HEAP_BYTES - 1, LOW)
    assert {rule_at(found, address) for address in behind} == {AWAITED}
    assert rule_at(found, LOW + 3 * HEAP_BYTES) == Cfa.UNKNOWN, "code of somebody else"


def test_where_frame_pointers_are_kept_they_lead_on_through_new_code() -> None:
    jvm = ForgedJvm([[FRAMED]])
    found = read_table(jvm.cache(), {})
    assert rule_at(found, jvm.starts[0] + 20) == BODY
    assert rule_at(found, LOW + HEAP_BYTES - 1) == Cfa.UNKNOWN


def test_what_is_known_of_a_method_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [METHOD, METHOD._replace(compilation=1), JUMPS]
    first = read_table(ForgedJvm([pieces]).cache(), {})
    assert len(first.known) == 2
    read: list[int] = []
    rows_of = table.rows_of
    monkeypatch.setattr(table, "rows_of", lambda blob: [read.append(blob.start), *rows_of(blob)][1:])
    pieces[1] = METHOD._replace(compilation=2)
    second = read_table(ForgedJvm([pieces]).cache(), first.known)
    assert len(read) == 2, "the method that took the other's place, and what is no method"
    assert second.chunks == first.chunks


def test_pages_that_are_not_in_memory_cost_only_what_is_on_them() -> None:
    large = METHOD._replace(code=METHOD.code + b"\x90" * 8192)
    jvm = ForgedJvm([[METHOD, large, METHOD]])
    jvm.memory.evict(jvm.starts[1] + 4096)
    found = read_table(jvm.cache(), {})
    assert [rule_at(found, start + 20) for start in jvm.starts] == [BODY] * 3


LIES = {
    "no length": METHOD._replace(length=0),
    "a length beyond the heap": METHOD._replace(length=1 << 20),
    "a length of all bits": METHOD._replace(length=(1 << 32) - 1),
    "code beyond its block": METHOD._replace(code_bytes=1 << 16),
    "code that ends before it begins": METHOD._replace(code_bytes=-8),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_block_that_lies_has_no_rows(lie: Piece) -> None:
    jvm = ForgedJvm([[METHOD, lie]])
    found = read_table(jvm.cache(), {})
    assert [rule_at(found, start + 20) for start in jvm.starts] == [BODY, AWAITED]


def test_blocks_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_MOST_BLOCKS", 2)
    jvm = ForgedJvm([[METHOD, METHOD, METHOD]])
    found = read_table(jvm.cache(), {})
    assert [rule_at(found, start + 20) for start in jvm.starts] == [BODY, BODY, AWAITED]


def test_bytes_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_BYTES", HEAP_BYTES + 4096)
    large = METHOD._replace(code=METHOD.code + b"\x90" * 4096)
    jvm = ForgedJvm([[METHOD], [METHOD, large]])
    found = read_table(jvm.cache(), {})
    assert [rule_at(found, start + 20) for start in jvm.starts] == [BODY, BODY, AWAITED]


@pytest.mark.parametrize("words", [-1, -(1 << 31), (1 << 31) - 1])
def test_a_frame_of_a_size_that_cannot_be_is_none(words: int) -> None:
    jvm = ForgedJvm([[METHOD._replace(frame_words=words)]])
    by_frame_pointer = packed(Cfa.FRAME_POINTER, 16, packed_fp(CallersFp.AT_CFA, -16))
    assert rule_at(read_table(jvm.cache(), {}), jvm.starts[0] + 20) == by_frame_pointer


@pytest.mark.parametrize("complete", [-1, -5, 1 << 20])
def test_a_frame_that_is_never_complete_is_not_relied_on(complete: int) -> None:
    jvm = ForgedJvm([[METHOD._replace(complete=complete, code=b"\x90" * 40)]])
    assert rule_at(read_table(jvm.cache(), {}), jvm.starts[0] + 20) == CALLED


def test_heaps_that_overlap_are_refused() -> None:
    with pytest.raises(Malformed):
        read_table(ForgedJvm([[METHOD], []], lows=(LOW, LOW + 4096)).cache(), {})


@pytest.mark.parametrize("count", [0, -1, 1 << 30])
def test_a_number_of_heaps_that_cannot_be_is_refused(count: int) -> None:
    jvm = ForgedJvm([[METHOD]])
    jvm.write(OBJECTS, "GrowableArrayBase", "_len", count)
    with pytest.raises(Malformed):
        read_table(jvm.cache(), {})


@pytest.mark.parametrize("missing", [("nmethod", "_compile_id"), ("CodeBlob", "_name")])
def test_a_field_that_is_not_described_is_an_error(missing: tuple[str, str]) -> None:
    layout = {name: place for name, place in JDK_17.items() if name != missing}
    jvm = ForgedJvm([[METHOD]])
    lacking = ForgedJvm([[]], layout)
    lacking.memory.pages.update(
        (page, content) for page, content in jvm.memory.pages.items() if page << 12 == LOW
    )
    with pytest.raises(Malformed, match=missing[1]):
        read_table(lacking.cache(), {})


def test_before_it_has_begun_there_is_no_table() -> None:
    jvm = ForgedJvm([[METHOD]])
    cache = jvm.cache()
    jvm.memory.evict(OBJECTS)
    with pytest.raises(SymbolizeError):
        read_table(cache, {})


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 40), st.integers(0, STRIDE - 1), st.binary(min_size=1, max_size=8))
def test_a_description_that_lies_ends_in_a_table_or_an_error(entry: int, at: int, lie: bytes) -> None:
    jvm = ForgedJvm([[METHOD, JUMPS], [METHOD]])
    jvm.memory.write(DESCRIPTION + STRIDE * entry + at, lie)
    try:
        found = read_table(jvm.cache(), {})
    except SymbolizeError:
        return
    assert len(found.chunks) % CHUNK_BYTES == 0
