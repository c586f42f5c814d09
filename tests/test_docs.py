"""The pages for users: their links lead somewhere, and their tables have what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from profiler.cli import cli
from profiler.export.stats import to_json
from profiler.profile.model import Losses, ProcessLosses, Profile, Root
from symbolizers.errors import Reason

ROOT = Path(__file__).resolve().parent.parent
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")


def anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    headings = re.findall("^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_leads_to_every_page() -> None:
    linked = {ROOT / path.partition("#")[0] for path in LINK.findall((ROOT / "README.md").read_text())}
    assert {page for page in PAGES if page.name != "README.md"} <= linked


@pytest.mark.parametrize("name", ["record", "report", "doctor"])
def test_every_option_is_documented(name: str) -> None:
    page = (ROOT / "docs" / f"{name.upper()}.md").read_text()
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert options
    assert [opt for each in options for opt in each.opts if f"`{opt}" not in page] == []


def test_every_figure_and_reason_is_documented() -> None:
    losses = Losses(1, 1, {}, 0, (ProcessLosses(Root(b"a", 1), 1, 1, {}),))
    document = json.loads(
        to_json(Profile((), losses, host="h", started_at="", duration_s=1.0, frequency_hz=20, cpus=1))
    )
    keys = {
        *document,
        *document["per_process"][0],
        *document["native_stacks"],
        *(each.value for each in Reason),
    }
    page = (ROOT / "docs" / "RECORD.md").read_text()
    assert {key for key in keys if f"`{key}`" not in page} == set()
