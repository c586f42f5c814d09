"""Tables for a terminal: the hottest functions and path of a profile, and what a query gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiler.export.text import frame_text, printable, root_text
from profiler.profile.model import Root
from profiler.profile.summary import Summary
from symbolizers.frame import Frame

_MOST_CHARACTERS = 100
_HEAT = ((0.2, "31"), (0.05, "33"))
"""SGR parameters for what has so much (0 to 1) of the samples: red, yellow."""


def functions_and_path(summary: Summary, *, colour: bool = False) -> str:
    """The functions that ran most, and the path that most samples took."""
    total = summary.samples
    if not total:
        return "no sample is shown: the filters leave none, or there were none\n"
    rows = [
        (
            f"{100 * hot.own / total:.1f} %",
            f"{100 * hot.total / total:.1f} %",
            hot.own,
            frame_text(hot.function),
        )
        for hot in summary.functions
    ]
    header, *lines = _aligned(("self", "total", "samples", "function"), rows).splitlines()
    shares = [hot.own / total for hot in summary.functions]
    path = [
        f"{100 * count / total:5.1f} %  {'  ' * depth}{_box_text(box)}"
        for depth, (box, count) in enumerate(summary.path)
    ]
    if colour:
        lines = [_in_colour(line, share) for line, share in zip(lines, shares, strict=True)]
        path = [_in_colour(line, count / total) for line, (_, count) in zip(path, summary.path, strict=True)]
    titles = [
        f"\x1b[1m{title}\x1b[0m" if colour else title for title in ("hottest functions", "hottest path")
    ]
    return "\n".join([titles[0], header, *lines, "", titles[1], *path]) + "\n"


def rows_as_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The result of a query as a table; no text in it breaks its line."""
    shown = [tuple("" if cell is None else cell for cell in row) for row in rows]
    return _aligned(header, shown)


def _box_text(box: Root | Frame) -> str:
    return root_text(box) if isinstance(box, Root) else frame_text(box)


def _in_colour(line: str, share: float) -> str:
    """`line` as hot as its share is."""
    sgr = next((sgr for least, sgr in _HEAT if share >= least), "")
    return f"\x1b[{sgr}m{line}\x1b[0m" if sgr else line


def _aligned(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns with two spaces between them: numbers at the right, texts at the left."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    numeric = [
        all(isinstance(row[at], (int, float)) or str(row[at]).endswith(" %") for row in rows)
        for at in range(len(header))
    ]
    widths = [
        max(len(name), *(len(row[at]) for row in cells)) if cells else len(name)
        for at, name in enumerate(header)
    ]
    lines = []
    for row in ([printable(name) for name in header], *cells):
        parts = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    text = printable(text[: _MOST_CHARACTERS + 1])
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
