"""Ruby's layout row against Ruby's own header, and against what the walker is compiled with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from profiler.capture.header import BPF_DIRECTORY, read_header
from symbolizers.layout import ABSENT_NUMBER, Row
from symbolizers.ruby import derive as derive_ruby
from symbolizers.ruby.iseqs import BODY_WORDS, METHOD_WORDS
from symbolizers.ruby.layouts import ALIGNMENTS, LAYOUTS

ROW = LAYOUTS.named("ruby-3.1")


@pytest.fixture(scope="module")
def header() -> Path:
    (found,) = Path("/usr/include").glob("*/ruby-3.1.0/rb_mjit_min_header-3.1.*.h")
    return found


def test_the_header_says_the_same(header: Path) -> None:
    derived = derive_ruby.from_headers([str(header)], derive_ruby.expressions_of(ROW))
    assert len(derived) > 40
    assert {name: ROW[name] for name in derived} == derived


def test_every_field_has_a_source() -> None:
    renamed = [name for row in derive_ruby.RENAMED.values() for name in row]
    assert set(ALIGNMENTS) == {*derive_ruby.EXPRESSIONS, *derive_ruby.FROM_SOURCES, *renamed}
    assert {*derive_ruby.RENAMED} <= {row.name for row in LAYOUTS}


@pytest.mark.parametrize("row", list(LAYOUTS), ids=lambda row: str(row.name))
def test_rows_are_valid(row: Row) -> None:
    row.validate(ALIGNMENTS)


def test_the_walker_gets_every_offset_that_it_asks_for() -> None:
    header = read_header("ruby_layout.h")
    layout = header.structs["ruby_layout"]
    numbers = {name: dict(ROW.numbers())[name] for name in layout.fields}
    assert numbers["vm_threads"] == header.defines["RUBY_ABSENT"] == ABSENT_NUMBER
    assert layout.layout.unpack(layout.pack(numbers)) == tuple(numbers.values())
    assert (header.defines["RUBY_BODY_WORDS"], header.defines["RUBY_METHOD_WORDS"]) == (
        BODY_WORDS,
        METHOD_WORDS,
    )


def test_the_walker_has_rubys_constants(header: Path) -> None:
    source = (BPF_DIRECTORY / "walk_ruby.h").read_text()
    defined = dict(re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)$", source, re.MULTILINE))
    derived = derive_ruby.from_headers([str(header)], derive_ruby.WALKER_CONSTANTS)
    assert {name: int(defined[name], 0) for name in derived} == derived


def test_versions_without_a_row_are_not_described() -> None:
    assert LAYOUTS.find((3, 1, 7)) is ROW
    assert [LAYOUTS.find(version) for version in ((2, 4, 10), (3, 5, 0), (4, 1, 0), (5, 0, 0))] == [None] * 4
