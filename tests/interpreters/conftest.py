"""Writes down which cells of docs/SUPPORTED.md passed: ``@pytest.mark.cell("…")`` on a check names one."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.interpreters.at_hand import Interpreter
from tests.interpreters.tables import RESULTS

_cells = pytest.StashKey[dict[str, dict[str, bool]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(name): a column of the tables in docs/SUPPORTED.md")
    config.stash[_cells] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    callspec: Any = getattr(item, "callspec", None)
    if report.when == "call":
        for marker in item.iter_markers("cell"):
            (interpreter,) = (each for each in callspec.params.values() if isinstance(each, Interpreter))
            row = item.config.stash[_cells].setdefault(interpreter.row, {})
            row[marker.args[0]] = report.passed and row.get(marker.args[0], True)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Rows that ran replace those of an earlier run, cell by cell."""
    cells = session.config.stash[_cells]
    if cells:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for row, found in cells.items():
            known.setdefault(row, {}).update(found)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True))
