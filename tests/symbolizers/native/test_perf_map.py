"""Maps of generated code: what was said last counts, and whatever a file holds, reading it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.native import perf_map
from symbolizers.native.perf_map import GeneratedFunction, PerfMap


def mapped(path: Path, text: bytes) -> PerfMap:
    path.write_bytes(text)
    found = PerfMap(os.open(path, os.O_RDONLY))
    found.read_on()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perf-7.map"


def test_an_address_belongs_to_the_function_around_it_and_to_no_other(path: Path) -> None:
    found = mapped(path, b"1000 10 one\n1010 8 two words\n2000 1 three\n")
    assert found.find(0xFFF) is None
    assert found.find(0x100F) == GeneratedFunction(0x1000, "one")
    assert found.find(0x1010) == GeneratedFunction(0x1010, "two words")
    assert found.find(0x1018) is None
    assert found.find(0x2000) == GeneratedFunction(0x2000, "three")


def test_what_was_said_last_counts(path: Path) -> None:
    found = mapped(path, b"1000 100 old\n1000 10 new\n1020 10 newer\n")
    assert [found.find(at) for at in (0x1005, 0x1025, 0x1050)] == [
        GeneratedFunction(0x1000, "new"),
        GeneratedFunction(0x1020, "newer"),
        GeneratedFunction(0x1000, "old"),
    ]


def test_what_is_appended_is_read_too_and_a_line_only_when_it_is_whole(path: Path) -> None:
    found = mapped(path, b"1000 10 one\n2000 10 tw")
    assert found.find(0x2000) is None
    with path.open("ab") as stream:
        stream.write(b"o\n1000 10 again\n")
    found.read_on()
    assert found.find(0x2000) == GeneratedFunction(0x2000, "two")
    assert found.find(0x1000) == GeneratedFunction(0x1000, "again")


def test_a_map_that_is_begun_anew_is_read_anew(path: Path) -> None:
    found = mapped(path, b"1000 10 one\n2000 10 two\n")
    path.write_bytes(b"3000 10 three\n")
    found.read_on()
    assert [found.find(at) for at in (0x1000, 0x3000)] == [None, GeneratedFunction(0x3000, "three")]


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"1000", b"1000 10", b"x 10 name", b"1000 x name", b"1000 0 name", b"1000 -5 name"),
        *(b"-1000 10 name", b"ffffffffffffffff 10 name", b"1" * 100_000, b"1" * 5000 + b" 10 name"),
    ],
)
def test_what_is_no_line_says_nothing(path: Path, line: bytes) -> None:
    found = mapped(path, b"500 10 before\n" + line + b"\n5000 10 after\n")
    assert found.find(0x500) == GeneratedFunction(0x500, "before")
    assert found.find(0x5000) == GeneratedFunction(0x5000, "after")
    assert found.find(0x1000) is None


def test_so_much_is_read_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf_map, "MOST_BYTES", 24)
    found = mapped(path, b"1000 10 one\n2000 10 two\n3000 10 three\n")
    assert found.find(0x2000) == GeneratedFunction(0x2000, "two")
    assert found.find(0x3000) is None


def test_names_are_bounded_and_need_not_be_utf8(path: Path) -> None:
    found = mapped(path, b"1000 10 " + b"n" * 5000 + b"\n2000 10 caf\xe9\n")
    long, wrong = found.find(0x1000), found.find(0x2000)
    assert long is not None
    assert len(long.name) == 1024
    assert wrong == GeneratedFunction(0x2000, "caf\ufffd")


@given(text=st.binary(max_size=400), at=st.integers(0, 1 << 64))
def test_any_text_can_be_read(tmp_path_factory: pytest.TempPathFactory, text: bytes, at: int) -> None:
    found = mapped(tmp_path_factory.getbasetemp() / "any.map", text)
    function = found.find(at)
    assert function is None or function.start <= at


lines = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 6)), max_size=30)


@given(said=lines)
def test_each_address_has_the_last_function_that_was_said_to_be_there(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, int]]
) -> None:
    text = "".join(f"{start:x} {size:x} f{number}\n" for number, (start, size) in enumerate(said))
    found = mapped(tmp_path_factory.getbasetemp() / "said.map", text.encode())
    for address in range(50):
        around = [
            GeneratedFunction(start, f"f{number}")
            for number, (start, size) in enumerate(said)
            if start <= address < start + size
        ]
        assert found.find(address) == (around[-1] if around else None)
