"""Unwind tables in the kernel: they are found by the file, and bounded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from profiler.capture import unwind_tables
from profiler.capture.kernel_objects import KernelObjects, number
from profiler.capture.libbpf import Map
from profiler.capture.sampler import get_sampler
from profiler.capture.unwind_tables import UnwindTables
from symbolizers.inspection import CHUNK_BYTES, KernelKey

pytestmark = pytest.mark.live
FILES = [KernelKey((8, 1), inode, 5_000_000_006) for inode in range(4)]
CHUNK = bytes(range(256)) * (CHUNK_BYTES // 256)


@pytest.fixture(scope="module")
def maps() -> Iterator[dict[str, Map]]:
    notes: list[str] = []
    sampler, _ = get_sampler(notes.append, use_cache=True)
    with closing(KernelObjects(sampler, 512)) as objects:
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
