"""A diff as a table of functions, for terminals and text files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from profiler.export.diff_text import (
    MARKS,
    basis_text,
    change_text,
    notes,
    p_text,
    recording_lines,
    summary,
    title,
)
from profiler.export.text import ELLIPSIS, frame_text
from profiler.profile.diff import Change, Diff, Difference, FunctionDifference, verdict_of

MAX_ROWS = 40
LEAST_CELLS = 20
"""A terminal that is too narrow for so much of a function's name shows it on the next line."""

_COLOURS = {
    Change.NEW: "1;31",
    Change.MORE: "31",
    Change.LESS: "34",
    Change.GONE: "1;34",
    Change.DOUBTFUL: "33",
    Change.UNSTEADY: "33",
    Change.NOISE: "2",
}
"""SGR parameters: red, blue, yellow, faint; bold for new and gone."""
_HEADING = (
    f"  {'total':>8} {'after':>8}  {'change in points (95 %)':25}"
    f"   {'self':>8} {'after':>8}  {'corrected':9}  function"
)
_BEFORE_FUNCTION = _HEADING.index("function")


def write(diff: Diff, stream: BinaryIO) -> None:
    """Write the table as UTF-8, without colours."""
    for line in lines(diff):
        stream.write(f"{line}\n".encode())


def lines(
    diff: Diff, *, colour: bool = False, width: int | None = None, every: bool = False
) -> Iterator[str]:
    """The lines of the table: functions that differ, those whose own samples changed most first.

    With `every`, all functions. Names are cut to a terminal of this `width`, in characters.
    """
    yield title(diff)
    before, after = recording_lines(diff)
    yield f"before: {before}"
    yield f"after:  {after}"
    yield ""
    functions = [each for each in diff.functions if every or verdict_of(each) != Change.NOISE]
    functions.sort(key=_rank)
    shown = functions if every else functions[:MAX_ROWS]
    if shown:
        yield _HEADING
    for each in shown:
        row = _cut(_row(each), width)
        yield f"\x1b[{_COLOURS[verdict_of(each)]}m{row}\x1b[0m" if colour else row
    if len(shown) < len(functions):
        yield f"and {len(functions) - len(shown):,} more; --all shows them"
    if shown:
        yield ""
    yield f"{summary(diff)}; {basis_text(diff.by)}"
    yield from (f"note: {note}" for note in notes(diff))


def _rank(function: FunctionDifference) -> tuple[bool, bool, float, float]:
    """Differences before doubtful ones and noise; then by what changed in the function itself."""
    verdict, own, total = verdict_of(function), function.own, function.total
    own_change = own.change if own.verdict != Change.NOISE else 0.0
    return not verdict.significant, verdict == Change.NOISE, -abs(own_change), -abs(total.change)


def _row(each: FunctionDifference) -> str:
    own, total = each.own, each.total
    return (
        f"{MARKS[total.verdict]:2}{_shares(total)}  {change_text(total):25}"
        f" {MARKS[own.verdict]:2}{_shares(own)}  {p_text(min(own.p, total.p)):9}  {frame_text(each.function)}"
    )


def _shares(difference: Difference) -> str:
    return f"{100 * difference.share_before:6.2f} % {100 * difference.share_after:6.2f} %"


def _cut(row: str, width: int | None) -> str:
    if width is None or len(row) <= width:
        return row
    name = row[_BEFORE_FUNCTION:]
    if width - _BEFORE_FUNCTION < LEAST_CELLS:
        return f"{row[:_BEFORE_FUNCTION].rstrip()}\n    {_short(name, width - 4)}"
    return row[:_BEFORE_FUNCTION] + _short(name, width - _BEFORE_FUNCTION)


def _short(name: str, cells: int) -> str:
    return name if len(name) <= cells else name[: max(cells - 1, 0)] + ELLIPSIS
