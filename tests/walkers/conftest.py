"""The harness for the tests of walkers: built once, a running program for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.walkers.harness import Harness, build, running


@pytest.fixture(scope="session")
def harness_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("harness"))


@pytest.fixture(scope="module")
def harness(harness_program: Path) -> Iterator[Harness]:
    with running(harness_program) as program:
        yield program
