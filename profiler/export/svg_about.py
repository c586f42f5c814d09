"""What a box of the flame graph tells when one looks at it: its share, how sure that is, what was lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from profiler.export.programs import Programs
from profiler.export.text import counted_text, printable
from profiler.export.tree import Box
from profiler.profile.interval import wilson
from profiler.profile.model import Losses
from symbolizers.errors import Reason

NOTES_OF_PROGRAM = 3
"""How many notes on its processes a program shows."""


class SampleText:
    """Words the counts of boxes, in a picture of `total` samples, `frequency_hz` of them a second and CPU."""

    def __init__(self, total: int, frequency_hz: int) -> None:
        self._total = total
        self._frequency_hz = frequency_hz
        self._texts: dict[int, str] = {}

    def lines(self, box: Box) -> tuple[str, ...]:
        """The samples, their CPU time and share, and how many of them are no callee's, if any is.

        ``1,234 samples (61.70 s) · 12.34 % of all (95 % sure: 11.72 to 12.99)`` and ``self: 56 samples …``.
        """
        inclusive = self._text(box.count)
        if box.self_count == box.count:
            return inclusive, "self: all of them"
        return (inclusive, f"self: {self._text(box.self_count)}") if box.self_count else (inclusive,)

    def _text(self, count: int) -> str:
        text = self._texts.get(count)
        if text is None:
            text = self._texts[count] = self._worded(count)
        return text

    def _worded(self, count: int) -> str:
        unit = "sample" if count == 1 else "samples"
        seconds = count / self._frequency_hz
        sampled = f"{count:,} {unit} ({seconds:,.{2 if seconds < 100 else 0}f} s)"
        if count == self._total:
            return f"{sampled} · 100 % of all"
        low, high = wilson(count, self._total)
        share = f"{100 * count / self._total:.2f} % of all"
        return f"{sampled} · {share} (95 % sure: {100 * low:.2f} to {100 * high:.2f})"


class _Losses(NamedTuple):
    partial: Counter[Reason]
    dropped: Counter[Reason]
    notes: dict[str, None]


def loss_notes(losses: Losses, programs: Programs) -> Mapping[str, tuple[str, ...]]:
    """What a process's box and its program's say about losses, one line each, by the text of the box."""
    found: defaultdict[str, _Losses] = defaultdict(lambda: _Losses(Counter(), Counter(), {}))
    for process in losses.per_process:
        for text in programs.texts(process.root):
            found[text].partial.update(process.partial)
            found[text].dropped.update(process.dropped)
            found[text].notes.update({process.note: None} if process.note else {})
    return {text: _lines(lost) for text, lost in found.items()}


def _lines(lost: _Losses) -> tuple[str, ...]:
    parts = ((lost.partial, "partial"), (lost.dropped, "dropped"))
    lines = [counted_text(counts, what) for counts, what in parts if any(counts.values())]
    notes = [printable(note) for note in lost.notes]
    if len(notes) > NOTES_OF_PROGRAM:
        notes[NOTES_OF_PROGRAM:] = [f"and {len(notes) - NOTES_OF_PROGRAM} more notes on its processes"]
    return (*lines, *notes)
