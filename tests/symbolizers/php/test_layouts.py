"""PHP's layout rows against what the walker and the reader are made with.

That they are what PHP's headers say is checked where these are: in tests/interpreters.
"""

from __future__ import annotations

import pytest

from profiler.capture.header import read_header
from symbolizers.layout import ABSENT_NUMBER, Row
from symbolizers.php import functions
from symbolizers.php.derive import EXPRESSIONS, FROM_BUILDS, READER_CONSTANTS, WALKER_CONSTANTS
from symbolizers.php.layouts import ALIGNMENTS, LAYOUTS


@pytest.mark.parametrize("row", list(LAYOUTS), ids=lambda row: str(row.name))
def test_rows_are_valid(row: Row) -> None:
    row.validate(ALIGNMENTS)
    assert not any(row.has(name) for name in FROM_BUILDS)


def test_every_field_has_a_source() -> None:
    assert set(ALIGNMENTS) == {*EXPRESSIONS, *FROM_BUILDS}


def test_the_walker_gets_every_offset_that_it_asks_for() -> None:
    header = read_header("php_layout.h")
    layout = header.structs["php_layout"]
    for row in LAYOUTS:
        numbers = dict(row.numbers())
        assert list(numbers) == list(layout.fields) == list(ALIGNMENTS)
        assert layout.layout.unpack(layout.pack(numbers)) == tuple(numbers.values())
    assert header.defines["PHP_ABSENT"] == ABSENT_NUMBER


def test_the_walker_and_the_reader_have_the_same_constants() -> None:
    defined = read_header("php_layout.h").defines
    assert set(WALKER_CONSTANTS) <= set(defined)
    both = set(WALKER_CONSTANTS) & set(READER_CONSTANTS)
    assert len(both) >= 5
    assert {name: defined[name] for name in both} == {name: vars(functions)[name] for name in both}


def test_versions_without_a_row_are_not_described() -> None:
    assert LAYOUTS.find((8, 2, 32)) is LAYOUTS.named("php-8.2")
    assert [LAYOUTS.find(version) for version in ((), (5, 6, 40), (7, 3, 33), (9, 0, 0))] == [None] * 4
