"""Dumps of generated code: what was said last counts, and whatever a file holds, reading it ends."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbolizers.errors import Malformed
from symbolizers.native import jitdump
from symbolizers.native.jitdump import GeneratedFunction, JitDump
from tests.support.jit_dumps import HEADER, loaded, moved, record


def dumped(path: Path, *records: bytes) -> JitDump:
    path.write_bytes(HEADER + b"".join(records))
    found = JitDump(os.open(path, os.O_RDONLY))
    found.read_on()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jit-7.dump"


def test_an_address_belongs_to_the_function_around_it_and_to_no_other(path: Path) -> None:
    found = dumped(
        path, loaded(1, 0x1000, 0x10, "one"), record(2, b"lines"), loaded(2, 0x1010, 8, "two words")
    )
    assert found.find(0xFFF) is None
    assert found.find(0x100F) == GeneratedFunction(0x1000, "one")
    assert found.find(0x1010) == GeneratedFunction(0x1010, "two words")
    assert found.find(0x1018) is None


def test_what_was_moved_has_its_name_where_it_is_now(path: Path) -> None:
    found = dumped(
        path, loaded(1, 0x1000, 16, "one"), loaded(2, 0x2000, 16, "two"), moved(1, 0x1000, 0x2000, 16)
    )
    assert found.find(0x2008) == GeneratedFunction(0x2000, "one")
    assert dumped(path, moved(9, 0x1000, 0x2000, 16)).find(0x2008) is None


def test_what_is_appended_is_read_too_and_a_record_only_when_it_is_whole(path: Path) -> None:
    found = dumped(path, loaded(1, 0x1000, 16, "one"))
    second = loaded(2, 0x1000, 16, "two")
    with path.open("ab") as stream:
        stream.write(second[:-1])
        stream.flush()
        found.read_on()
        assert found.find(0x1000) == GeneratedFunction(0x1000, "one")
        stream.write(second[-1:])
    found.read_on()
    assert found.find(0x1000) == GeneratedFunction(0x1000, "two")
    path.write_bytes(HEADER + loaded(1, 0x3000, 4, "three"))
    found.read_on()
    assert [found.find(at) for at in (0x1000, 0x3000)] == [None, GeneratedFunction(0x3000, "three")]


def test_code_of_any_size_is_passed_over(path: Path) -> None:
    records = [loaded(at, 0x1000 * at, size, f"f{at}") for at, size in enumerate((1, 70_000, 200_000, 3), 1)]
    found = dumped(path, *records)
    assert [found.find(0x1000 * at) for at in (1, 4)] == [
        GeneratedFunction(0x1000, "f1"),
        GeneratedFunction(0x4000, "f4"),
    ]


def test_so_many_functions_are_kept_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jitdump, "MOST_FUNCTIONS", 2)
    found = dumped(path, *(loaded(at, 0x1000 * at, 16, "f") for at in (1, 2, 3)))
    assert found.find(0x2000) is not None
    assert found.find(0x3000) is None


def test_names_are_bounded(path: Path) -> None:
    found = dumped(path, loaded(1, 0x1000, 16, "n" * 9000)).find(0x1000)
    assert found is not None
    assert len(found.name) == 1024


@pytest.mark.parametrize("text", [b"", b"DTiJ", b"\x7fELF" * 9, struct.pack(">III", 0x4A695444, 1, 40) * 9])
def test_what_is_no_dump_is_malformed(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(Malformed):
        JitDump(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, 15, 0xFFFFFFFF])
def test_a_record_of_a_size_that_can_not_be_ends_it(path: Path, size: int) -> None:
    wrong = struct.pack("<IIQ", 0, size, 0)
    found = dumped(path, loaded(1, 0x1000, 16, "one"), wrong, loaded(2, 0x2000, 16, "two"))
    assert found.find(0x1000) is not None
    assert found.find(0x2000) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.binary(max_size=300), kind=st.integers(0, 5), at=st.integers(0, 1 << 64))
def test_any_record_can_be_read(path: Path, text: bytes, kind: int, at: int) -> None:
    found = dumped(path, record(kind, text), text)
    function = found.find(at)
    assert function is None or function.start <= at
