"""What the tests' images run of each walker."""

from __future__ import annotations

from pathlib import Path

import pytest

from symbolizers.registry import LANGUAGES
from tests.walkers.coverage import Lines, measure

LEAST = {"walk": 0.95, "name": 0.9}
"""The share of lines that run. Each program has the same three that never do, where a map has no entry."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lines]:
    return measure(tmp_path_factory.mktemp("coverage"))


@pytest.mark.parametrize("language", [language.name for language in LANGUAGES])
def test_the_images_run_nearly_every_line(measured: dict[str, Lines], language: str) -> None:
    for part, least in LEAST.items():
        lines = measured[f"{part}_{language}.h"]
        assert len(lines.all) > 20
        assert lines.share > least, f"never ran: {sorted(lines.missing)}"


def test_what_never_runs_is_counted(measured: dict[str, Lines]) -> None:
    """No image forks: the program of that tracepoint is among what is missing."""
    text = (Path(__file__).parents[2] / "profiler" / "bpf" / "sample.c").read_text().splitlines()
    line = next(number for number, line in enumerate(text, 1) if line.startswith("int on_fork"))
    assert line in measured["sample.c"].missing
