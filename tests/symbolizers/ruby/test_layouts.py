"""Ruby's layout row against what Ruby says about itself, and against what the walker is compiled with.

The machine's Ruby tells: up to 3.2 by the header of its method JIT, later by RJIT, which knows a part.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from profiler.capture.header import BPF_DIRECTORY, read_header
from symbolizers.c_headers import from_headers
from symbolizers.layout import ABSENT_NUMBER, Row
from symbolizers.ruby import derive as derive_ruby
from symbolizers.ruby.iseqs import BODY_WORDS, METHOD_WORDS
from symbolizers.ruby.layouts import ALIGNMENTS, LAYOUTS

ROW = LAYOUTS.named("ruby-3.1")


RJIT = Path(__file__).with_name("rjit.rb")
FIRST_WITHOUT_A_HEADER = (3, 3)


@pytest.fixture(scope="module")
def version() -> tuple[int, ...]:
    command = ["ruby", "-e", "print RUBY_VERSION"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(int, told.split(".")))


def told(version: tuple[int, ...], expressions: Mapping[str, str]) -> dict[str, int]:
    """The values of C expressions as the machine's Ruby has them: of all, or of those that its RJIT knows."""
    if version < FIRST_WITHOUT_A_HEADER:
        major_minor = f"{version[0]}.{version[1]}"
        (header,) = Path("/usr/include").glob(f"*/ruby-{major_minor}.0/rb_mjit_min_header-{major_minor}.*.h")
        return from_headers([str(header)], expressions)
    command = ["ruby", "--rjit", "--disable-gems", str(RJIT)]
    asked = json.dumps(dict(expressions))
    answer = subprocess.run(command, input=asked, check=True, capture_output=True, text=True).stdout
    known: dict[str, int] = json.loads(answer)
    return known


def test_ruby_says_the_same(version: tuple[int, ...]) -> None:
    row = LAYOUTS.find(version)
    assert row is not None
    derived = told(version, derive_ruby.expressions_of(row))
    assert len(derived) > (40 if version < FIRST_WITHOUT_A_HEADER else 30)
    assert {name: row[name] for name in derived} == derived


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


def test_the_walker_has_rubys_constants(version: tuple[int, ...]) -> None:
    source = "".join((BPF_DIRECTORY / f"{part}_ruby.h").read_text() for part in ("walk", "name"))
    source += (BPF_DIRECTORY / "ruby_layout.h").read_text()
    defined = dict(re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)$", source, re.MULTILINE))
    derived = told(version, derive_ruby.WALKER_CONSTANTS)
    assert {"FRAME_MAGIC_CFUNC", "ENV_LOCAL", "TYPE_MASK"} <= set(derived)
    assert version >= FIRST_WITHOUT_A_HEADER or set(derived) == set(derive_ruby.WALKER_CONSTANTS)
    assert {name: int(defined[name], 0) for name in derived} == derived


def test_versions_without_a_row_are_not_described() -> None:
    assert LAYOUTS.find((3, 1, 7)) is ROW
    assert [LAYOUTS.find(version) for version in ((2, 4, 10), (3, 5, 0), (4, 1, 0), (5, 0, 0))] == [None] * 4
