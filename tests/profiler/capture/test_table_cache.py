"""Tables of earlier runs: whose files they may be of, and what is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.capture import cache, table_cache
from profiler.capture.table_cache import TableCache
from symbolizers.inspection import CHUNK_BYTES, IDENTIFIED_VDSO, KernelKey

FILE = KernelKey((8, 1), 1234, 5_000_000_006)
OTHERS = (FILE._replace(device=(8, 2)), FILE._replace(inode=1), FILE._replace(changed_ns=7))
TABLE = bytes(range(256)) * (CHUNK_BYTES // 128)
ROOT, SOMEBODY = 0, 1000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "pidflame")
    return tmp_path / "pidflame"


def test_a_table_is_there_for_the_next_run_and_for_this_file_alone() -> None:
    TableCache(is_used=True).keep(FILE, ROOT, TABLE)
    assert TableCache(is_used=True).read(FILE, ROOT) == TABLE
    assert [TableCache(is_used=True).read(each, ROOT) for each in OTHERS] == [None] * 3


def test_what_somebody_else_can_have_written_is_neither_kept_nor_read(folder: Path) -> None:
    tables = TableCache(is_used=True)
    tables.keep(FILE, SOMEBODY, TABLE)
    assert not folder.exists()
    tables.keep(FILE, ROOT, TABLE)
    assert tables.read(FILE, SOMEBODY) is None


def test_the_table_of_the_vdso_is_that_of_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = TableCache(is_used=True)
    tables.keep(*IDENTIFIED_VDSO, TABLE)
    assert tables.read(*IDENTIFIED_VDSO) == TABLE
    monkeypatch.setattr(table_cache, "kernel_build", lambda: b"another one")
    assert tables.read(*IDENTIFIED_VDSO) is None


def test_without_the_cache_nothing_is_kept(folder: Path) -> None:
    TableCache(is_used=False).keep(FILE, ROOT, TABLE)
    assert not folder.exists()
    TableCache(is_used=True).keep(FILE, ROOT, TABLE)
    assert TableCache(is_used=False).read(FILE, ROOT) is None


def test_a_file_that_was_cut_is_no_table(folder: Path) -> None:
    tables = TableCache(is_used=True)
    tables.keep(FILE, ROOT, TABLE)
    [kept] = folder.iterdir()
    kept.write_bytes(TABLE[:-1])
    assert tables.read(FILE, ROOT) is None
    kept.write_bytes(b"")
    assert tables.read(FILE, ROOT) is None
    tables.keep(FILE, ROOT, TABLE)
    assert tables.read(FILE, ROOT) == TABLE


def test_a_folder_that_others_can_write_to_costs_only_time(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    tables = TableCache(is_used=True)
    tables.keep(FILE, ROOT, TABLE)
    assert tables.read(FILE, ROOT) is None
    assert list(folder.iterdir()) == []
