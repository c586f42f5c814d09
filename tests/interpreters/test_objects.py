"""Every CPython at hand, read without its help, against what it says about itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interpreters.at_hand import Python, pythons
from tests.support.python_live import Live, running

FIRST_WITH_QUALIFIED_NAMES = (3, 11)


@pytest.fixture(scope="module", params=pythons(), ids=lambda python: python.name)
def python(request: pytest.FixtureRequest) -> Python:
    found: Python = request.param
    return found


@pytest.fixture(scope="module")
def live(python: Python) -> Iterator[Live]:
    with running(python.command("objects.py")) as found:
        yield found


def test_the_version_is_known(python: Python, live: Live) -> None:
    numbers = tuple(map(int, live.interpreter.version.split(".")[:2]))
    assert numbers == python.version
    assert live.file.version.count(".") == 2, "only the series was found"
    assert not live.interpreter.note


def test_every_code_object_is_what_its_process_says(live: Live) -> None:
    instructions = live.check_codes()
    assert len(live.truth["codes"]) > 1000
    assert instructions > 20_000


def test_the_stack_of_every_thread_is_what_its_process_says(python: Python, live: Live) -> None:
    stacks = live.stacks()
    assert stacks == live.truth["stacks"]
    assert len(stacks) == 2
    names = {name for stack in stacks.values() for name, _ in stack}
    qualified = python.version >= FIRST_WITH_QUALIFIED_NAMES
    assert ("Made.called_from_c" if qualified else "called_from_c") in names
    assert {"handler", "leaf"} <= names
