"""The comparison inside a page: texts, and columns of numbers (`html_columns` lays them out).

A difference is a row of the columns ``difference…``; those of equal numbers are one. Functions have two, of
their own samples and of their total, and nodes of the call tree one. A share is a count of ``of``, times
``unit``.
"""

from __future__ import annotations

from collections.abc import Callable

from profiler.export.diff_text import (
    MARKS,
    WORDS,
    basis_text,
    level_text,
    notes,
    recording_lines,
    strength,
    summary,
    title,
)
from profiler.export.html_columns import Column, packed
from profiler.export.html_facts import colours, facts, process_lines
from profiler.export.svg import NONE_RECORDED, SHADES
from profiler.export.text import frame_text, printable, root_text, warnings
from profiler.profile.diff import Diff, Difference, verdict_of
from profiler.profile.diff_tree import Level
from profiler.profile.matching import Program
from profiler.profile.model import Profile

FRACTION = 10**8
"""Columns have shares and probabilities in these parts. Ends of intervals are 1 greater: none is negative."""
_NUMBERS = {change: number for number, change in enumerate(MARKS)}


def pack(diff: Diff) -> bytes:
    """The compressed data of a page. Equal comparisons give equal bytes."""
    differences = _Differences(diff)
    functions = [
        (differences.number(each.own), differences.number(each.total), _NUMBERS[verdict_of(each)])
        for each in diff.functions
    ]
    programs = list(dict.fromkeys(node.level for node in diff.nodes if isinstance(node.level, Program)))
    # Labels are one series of numbers: functions, programs, the whole.
    levels: list[Level | None] = [*(each.function for each in diff.functions), *programs, None]
    labels = {level: number for number, level in enumerate(levels)}
    columns = (
        Column("functionOwn", [own for own, _, _ in functions]),
        Column("functionTotal", [total for _, total, _ in functions]),
        Column("functionVerdict", [verdict for _, _, verdict in functions]),
        Column("nodeCaller", [max(node.parent, 0) for node in diff.nodes]),
        Column("nodeLabel", [labels[node.level] for node in diff.nodes]),
        Column("nodeDifference", [differences.number(node.total) for node in diff.nodes]),
        Column("nodeOwnBefore", [node.own.before for node in diff.nodes]),
        Column("nodeOwnAfter", [node.own.after for node in diff.nodes]),
        *differences.columns(),
    )
    tables = {
        "functions": [frame_text(each.function) for each in diff.functions],
        "programs": list(map(level_text, programs)),
        "verdicts": _verdicts(),
        "of": list(diff.of),
        "unit": diff.unit,
        **_about(diff),
    }
    return packed(tables, columns)


class _Differences:
    """The distinct differences, numbered as they are met."""

    def __init__(self, diff: Diff) -> None:
        total = diff.nodes[0].total
        self._whole = max(total.share_before, total.share_after) or 1.0
        self._unit = diff.unit
        self._numbers: dict[Difference, int] = {}

    def number(self, difference: Difference) -> int:
        return self._numbers.setdefault(difference, len(self._numbers))

    def columns(self) -> tuple[Column, ...]:
        def column(name: str, value: Callable[[Difference], int]) -> Column:
            return Column(f"difference{name}", [value(each) for each in self._numbers])

        return (
            column("Before", lambda each: each.before),
            column("After", lambda each: each.after),
            column("Low", lambda each: round((each.low / self._unit + 1) * FRACTION)),
            column("High", lambda each: round((each.high / self._unit + 1) * FRACTION)),
            column("P", lambda each: round(each.p * FRACTION)),
            column("Verdict", lambda each: _NUMBERS[each.verdict]),
            column("Strength", lambda each: strength(each, self._whole)),
        )


def _verdicts() -> list[dict[str, object]]:
    """Every verdict, with the colours of its strengths in light and dark: those of the SVG."""
    found = colours("diff.css")
    verdicts: list[dict[str, object]] = []
    for change in MARKS:
        shades = found[change.value]
        half = len(shades) // 2
        # One that has no strengths has one colour.
        light, dark = ([*each, *each[-1:] * (SHADES - len(each))] for each in (shades[:half], shades[half:]))
        verdicts.append(
            {
                "name": change.value,
                "title": WORDS[change],
                "mark": MARKS[change],
                "light": light,
                "dark": dark,
            }
        )
    return verdicts


def _about(diff: Diff) -> dict[str, object]:
    return {
        "title": title(diff),
        "summary": f"{summary(diff)}; {basis_text(diff.by)}",
        "notes": notes(diff),
        "sides": [
            {"line": line, **_side(profile)}
            for line, profile in zip(recording_lines(diff), (diff.before, diff.after), strict=True)
        ],
        "empty": NONE_RECORDED,
    }


def _side(profile: Profile) -> dict[str, object]:
    losses = profile.losses
    return {
        "lossy": bool(losses.lost or losses.symbolized < losses.samples),
        "facts": facts(profile),
        "losses": [[root_text(root), *said] for root, said in process_lines(profile).items()],
        "warnings": warnings(losses),
        "notes": [printable(note) for note in profile.notes],
    }
