"""Parts of a page that a program writes: each between ``<!-- TITLE -->`` and ``<!-- end of TITLE -->``."""

from __future__ import annotations

from pathlib import Path


def has(page: Path, title: str) -> bool:
    """Whether the `page` has a part of this `title`."""
    return f"<!-- {title} -->\n" in page.read_text()


def put(page: Path, title: str, text: str) -> None:
    """Replaces what the part `title` of the `page` holds by `text`."""
    begin, end = f"<!-- {title} -->\n", f"\n<!-- end of {title} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    assert found, f"{page.name} has no part {title}"
    assert closed, f"the part {title} of {page.name} has no end"
    page.write_text(before + begin + text + end + after)
