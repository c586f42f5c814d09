"""Tables for a terminal: the hottest functions and path of a profile, and what a query gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count as count_from

from profiler.export.text import frame_text, printable, root_text
from profiler.profile.merge import by_function
from profiler.profile.model import Profile, Root, Sample
from symbolizers.frame import Frame

_SHOWN_FUNCTIONS = 15
_MOST_CHARACTERS = 100
_PATH_SHARE = 0.5
"""The hottest path goes on as long as one callee has so much of what its caller has."""


def functions_and_path(profile: Profile) -> str:
    """The functions that ran most, and the path that most samples took."""
    total = sum(sample.count for sample in profile.samples)
    if not total:
        return "no sample is shown: the filters leave none, or there were none\n"
    functions = sorted(by_function(profile.samples).items(), key=lambda item: (-item[1][0], -item[1][1]))
    rows = [
        (f"{100 * own / total:.1f} %", f"{100 * anywhere / total:.1f} %", own, frame_text(function))
        for function, (own, anywhere) in functions[:_SHOWN_FUNCTIONS]
    ]
    lines = ["hottest functions", _aligned(("self", "total", "samples", "function"), rows)]
    lines += ["hottest path", *_path(profile.samples, total)]
    return "\n".join(lines) + "\n"


def rows_as_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The result of a query as a table; no text in it breaks its line."""
    shown = [tuple("" if cell is None else cell for cell in row) for row in rows]
    return _aligned(header, shown)


def _path(samples: Sequence[Sample], total: int) -> list[str]:
    """A line for each box: the largest one in the box before, as long as it has the most of that."""
    roots: Counter[Root] = Counter()
    for sample in samples:
        roots[sample.root] += sample.count
    ((root, count),) = roots.most_common(1)
    lines = [_line(count, total, 0, root_text(root))]
    inside = [sample for sample in samples if sample.root == root]
    for depth in count_from(0):
        callees: Counter[Frame] = Counter()
        for sample in inside:
            if len(sample.frames) > depth:
                callees[sample.frames[depth]] += sample.count
        if not callees:
            break
        ((frame, callee),) = callees.most_common(1)
        if callee < _PATH_SHARE * count:
            break
        count = callee
        inside = [each for each in inside if len(each.frames) > depth and each.frames[depth] == frame]
        lines.append(_line(count, total, depth + 1, frame_text(frame)))
    return lines


def _line(count: int, total: int, depth: int, text: str) -> str:
    return f"{100 * count / total:5.1f} %  {'  ' * depth}{text}"


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
