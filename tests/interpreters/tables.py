"""Puts what the checks found into docs/SUPPORTED.md: ``python -m tests.interpreters.tables``.

A table stands between a line ``<!-- LANGUAGE table -->`` and ``<!-- end of LANGUAGE table -->``. A row is an
interpreter that is at hand, a column what was tested; ``ok`` is a check that passed when it last ran.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.interpreters.at_hand import LAID_OUT, Interpreter, phps, pythons, rubies
from tests.support.page_sections import put

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SUPPORTED.md"
RESULTS = LAID_OUT.parent / "checked.json"
COLUMNS = {
    "CPython": (
        *("split", "exact stack", "without the GIL", "1,000 deep", "generator", "exception"),
        *("container", "fork", "short-lived", "lines"),
    ),
    "Ruby": (
        *(
            "split",
            "exact stack",
            "C function",
            "blocks",
            "garbage",
            "without the GVL",
            "two ractors",
            "fiber",
        ),
        *("1,000 deep", "container", "fork", "short-lived", "lines"),
    ),
    "PHP": (
        *("split", "exact stack", "opcache", "JIT", "include, eval", "generator", "fiber", "leaf's line"),
        *("new closures", "FPM", "1,000 deep", "container", "fork", "short-lived", "lines"),
    ),
}


def table(title: str, interpreters: Sequence[Interpreter], results: dict[str, dict[str, bool]]) -> str:
    """The Markdown table of one language."""
    columns = COLUMNS[title]
    lines = [f"| {title} | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 1)}"]
    for interpreter in interpreters:
        found = results.get(interpreter.row, {})
        cells = [
            "-" if column in interpreter.without else {True: "ok", False: "fails"}.get(found.get(column), "?")
            for column in columns
        ]
        lines.append(f"| {interpreter.row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Writes the tables; returns 1 if a cell is not ``ok``."""
    results = json.loads(RESULTS.read_text())
    for title, interpreters in (("CPython", pythons()), ("Ruby", rubies()), ("PHP", phps())):
        put(PAGE, f"{title} table", table(title, interpreters, results))
    text = PAGE.read_text()
    return int("| fails |" in text or "| ? |" in text)


if __name__ == "__main__":
    sys.exit(main())
