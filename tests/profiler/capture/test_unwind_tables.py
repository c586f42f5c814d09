"""Unwind tables in the kernel: they are found by the file, and bounded."""

from __future__ import annotations

import os
import random
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from profiler.capture import unwind_tables
from profiler.capture.kernel_objects import KernelObjects, number
from profiler.capture.libbpf import Map
from profiler.capture.program import Part
from profiler.capture.sampler import Sampler
from profiler.capture.unwind_tables import UnwindTables
from symbolizers.elf.file import ElfFile
from symbolizers.elf.unwind_rules import Cfa
from symbolizers.inspection import CHUNK_BYTES, CHUNK_ROWS, KernelKey, generated_key
from symbolizers.native.unwind_table import make_chunks
from symbolizers.process.identity import ProcessId

pytestmark = pytest.mark.live
FILES = [KernelKey((8, 1), inode, 5_000_000_006) for inode in range(4)]
GENERATED = generated_key(ProcessId(7, 8))
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
CHUNK = bytes(range(256)) * (CHUNK_BYTES // 256)


@pytest.fixture(scope="module")
def maps() -> Iterator[dict[str, Map]]:
    shapes = Sampler([].append, use_cache=True).get(Part.SAMPLES).maps
    with closing(KernelObjects(shapes, 512)) as objects:
        yield objects.maps


@pytest.fixture
def refused() -> list[OSError]:
    return []


@pytest.fixture
def tables(maps: dict[str, Map], refused: list[OSError]) -> Iterator[UnwindTables]:
    by_file, tables, chunk = maps["unwind_tables"], maps["tables"], maps["chunks"].shape
    with closing(UnwindTables(by_file, tables, chunk, refused.append)) as found:
        yield found


def test_tables_may_differ_in_size(
    tables: UnwindTables, maps: dict[str, Map], refused: list[OSError]
) -> None:
    for count, file in enumerate(FILES, start=1):
        tables.put(file, CHUNK * count)
    assert all(tables.has(file) for file in FILES)
    tables.flush()
    assert refused == []
    chunks = [maps["unwind_tables"][unwind_tables._packed(file)][4:8] for file in FILES]
    assert chunks == [number(count) for count in range(1, len(FILES) + 1)]


def test_that_a_file_has_no_rows_is_known(tables: UnwindTables, maps: dict[str, Map]) -> None:
    tables.put(FILES[0], b"")
    assert tables.has(FILES[0])
    tables.flush()
    assert maps["unwind_tables"][unwind_tables._packed(FILES[0])][4:8] == bytes(4)


def test_nobody_waits_for_the_kernel_to_change_a_map_of_maps(tables: UnwindTables) -> None:
    """It takes 8 ms and more for each."""
    began_s = time.monotonic()
    for inode in range(100, 300):
        tables.put(KernelKey((8, 1), inode, 5), CHUNK)
    took_s = time.monotonic() - began_s
    tables.flush()
    assert took_s < 0.5 < 0.008 * 200


def test_the_one_that_was_not_used_for_longest_makes_room(
    tables: UnwindTables, maps: dict[str, Map], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwind_tables, "MOST_BYTES", 3 * CHUNK_BYTES)
    for file in FILES[:3]:
        tables.put(file, CHUNK)
    tables.flush()
    for used_ns, file in ((3, FILES[0]), (1, FILES[1]), (2, FILES[2])):
        key = unwind_tables._packed(file)
        entry = maps["unwind_tables"][key]
        maps["unwind_tables"][key] = entry[:-8] + used_ns.to_bytes(8, "little")
    tables.put(FILES[3], CHUNK)
    assert [tables.has(file) for file in FILES] == [True, False, True, True]
    tables.flush()
    key = unwind_tables._packed(FILES[3])
    maps["unwind_tables"][key] = maps["unwind_tables"][key][:-8] + bytes([4, *bytes(7)])
    tables.put(FILES[1], CHUNK * 2)
    assert [tables.has(file) for file in FILES] == [False, True, False, True]
    with pytest.raises(OSError, match="No such file"):
        maps["unwind_tables"][unwind_tables._packed(FILES[2])]


def test_that_the_kernel_takes_no_table_is_told(maps: dict[str, Map], refused: list[OSError]) -> None:
    full = Map("full", maps["unwind_tables"].shape.with_entries(1))
    chunk = maps["chunks"].shape
    with closing(full), closing(UnwindTables(full, maps["tables"], chunk, refused.append)) as tables:
        tables.put(FILES[0], CHUNK)
        tables.put(FILES[1], CHUNK)
        tables.flush()
    assert [type(each) for each in refused] == [OSError]


@pytest.mark.parametrize("name", ["libc.so.6", "libstdc++.so.6"])
def test_rules_are_found_as_the_sampler_finds_them(tables: UnwindTables, name: str) -> None:
    fd = os.open(LIBRARIES / name, os.O_RDONLY)
    try:
        chunks = make_chunks(ElfFile.from_fd(fd))
    finally:
        os.close(fd)
    tables.put(FILES[0], chunks)
    offsets, rules = array("I"), array("I")
    for at in range(0, len(chunks), CHUNK_BYTES):
        numbers = array("I", chunks[at : at + 8 * CHUNK_ROWS])
        offsets += numbers[:CHUNK_ROWS]
        rules += numbers[CHUNK_ROWS:]
    wanted = [0, offsets[0] - 1, offsets[0], *random.Random(1).choices(range(offsets[0], 1 << 22), k=2000)]
    wanted += [(1 << 32) - 1, 1 << 32, (1 << 64) - 1]
    for offset in wanted:
        row = bisect_right(offsets, offset) - 1
        assert tables.find_rule(FILES[0], offset) == (rules[row] if row >= 0 else Cfa.UNKNOWN)
    assert tables.find_rule(FILES[1], 0) is None


def test_a_file_without_rows_has_none(tables: UnwindTables) -> None:
    tables.put(FILES[0], b"")
    assert tables.find_rule(FILES[0], 5) == Cfa.UNKNOWN


def test_so_many_tables_are_looked_into_and_no_more(
    tables: UnwindTables, maps: dict[str, Map], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwind_tables, "_MOST_OPEN", 2)
    before = len(os.listdir("/proc/self/fd"))
    for file in FILES:
        tables.put(file, CHUNK)
    tables.flush()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    assert [tables.find_rule(file, 0) is None for file in FILES] == [True, True, False, False]
    assert all(tables.has(file) for file in FILES), "the sampler has all of them"
    tables.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_table_of_generated_code_takes_the_place_of_the_last_one(
    tables: UnwindTables, maps: dict[str, Map], refused: list[OSError]
) -> None:
    key = unwind_tables._packed(GENERATED)
    for count in (1, 3, 2):
        tables.put(GENERATED, CHUNK * count, base=0x7000)
    tables.flush()
    entry = maps["unwind_tables"][key]
    assert entry[4:16] == number(2) + (0x7000).to_bytes(8, "little")
    tables.put(FILES[0], CHUNK)
    tables.flush()
    assert maps["unwind_tables"][unwind_tables._packed(FILES[0])][:4] != entry[:4]
    assert refused == []


def test_what_is_dropped_makes_room_for_others(tables: UnwindTables, maps: dict[str, Map]) -> None:
    for round_ in range(3):
        tables.put(GENERATED, CHUNK, base=0x7000 + round_)
        assert tables.has(GENERATED)
        tables.drop(GENERATED)
        tables.drop(FILES[3])
        assert not tables.has(GENERATED)
        assert tables.find_rule(GENERATED, 0) is None
    tables.put(FILES[0], CHUNK)
    tables.flush()
    with pytest.raises(OSError, match="No such file"):
        maps["unwind_tables"][unwind_tables._packed(GENERATED)]
    assert maps["unwind_tables"][unwind_tables._packed(FILES[0])][4:8] == number(1)
