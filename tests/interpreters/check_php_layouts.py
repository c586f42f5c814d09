"""PHP's layout rows, and the constants of its walker and its reader, against each version's own headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.capture.header import read_header
from symbolizers.php import functions
from symbolizers.php.derive import (
    EXPRESSIONS,
    FRAMELESS_CONSTANTS,
    READER_CONSTANTS,
    STRUCTURES,
    WALKER_CONSTANTS,
    derived,
)
from symbolizers.php.layouts import LAYOUTS
from tests.interpreters.at_hand import Php, phps
from tests.support.compiled import facts_of

FIRST_WITH_FRAMELESS_CALLS = (8, 4)


@pytest.fixture(params=phps(), ids=lambda php: str(php.name))
def php(request: pytest.FixtureRequest) -> Php:
    found: Php = request.param
    return found


@pytest.fixture
def include(php: Php) -> Path:
    (folder,) = (php.root / "usr" / "include" / "php").iterdir()
    return folder


def test_the_row_is_what_the_headers_say(php: Php, include: Path) -> None:
    row = LAYOUTS.find(php.version)
    assert row is not None
    assert derived(include, EXPRESSIONS) == {name: row[name] for name in EXPRESSIONS}


def test_the_constants_are_what_the_headers_say(php: Php, include: Path) -> None:
    defined = read_header("php_layout.h").defines
    expressions = {**WALKER_CONSTANTS}
    if php.version >= FIRST_WITH_FRAMELESS_CALLS:
        expressions |= FRAMELESS_CONSTANTS
    assert derived(include, expressions) == {name: defined[name] for name in expressions}
    assert derived(include, READER_CONSTANTS) == {name: vars(functions)[name] for name in READER_CONSTANTS}


def test_the_structures_are_what_the_headers_say(include: Path, tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "php_layout.h", read_header("php_layout.h"))
    for struct, fields in STRUCTURES.items():
        ours = {name: facts[f"offsetof(struct {struct}, {name})"] for name in fields}
        assert derived(include, fields) == ours
