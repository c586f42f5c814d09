"""The head of the picture: what was recorded, what was lost, notes and legend."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from profiler.export.text import ELLIPSIS, losses_text, printable, warnings
from profiler.profile.model import Profile

MARGIN_PX = 16
TITLE_CHARACTERS = 110
LINE_CHARACTERS = 180
NOTE_LINES = 6

_LINE_PX = 17
_LEGEND_CHARACTER_PX = 6.6
_LEGEND_GAP_PX = 34
_HINT = "Hover over a frame to see its counts."


def title_text(profile: Profile) -> str:
    """What was recorded, and where."""
    return f"{printable(profile.command) or 'CPU profile'} on {printable(profile.host) or 'unknown host'}"


def _lines(profile: Profile, left_out: int) -> list[tuple[str, str]]:
    """The lines below the title, each with its CSS class."""
    cpus = "1 CPU" if profile.cpus == 1 else f"{profile.cpus:,} CPUs"
    recorded = (
        printable(profile.started_at).replace("T", " ", 1),
        f"{profile.duration_s:,.1f} s at {profile.frequency_hz:,} Hz",
        cpus,
        printable(profile.event),
    )
    losses = profile.losses
    lossy = losses.lost or losses.symbolized < losses.samples
    lines = [(" · ".join(recorded), "quiet"), (losses_text(losses), "loss" if lossy else "quiet")]
    for warning in warnings(losses):
        lines += [(line, "loss") for line in wrap(f"warning: {warning}", LINE_CHARACTERS)]
    notes = [line for note in profile.notes for line in wrap(printable(note), LINE_CHARACTERS)]
    if left_out:
        frames = "1 frame" if left_out == 1 else f"{left_out:,} frames"
        notes.append(f"The picture leaves out {frames} too narrow to see; the totals include them.")
    if len(notes) > NOTE_LINES:
        notes[NOTE_LINES - 1 :] = [f"and {len(notes) - NOTE_LINES + 1} more lines of notes"]
    return lines + [(note, "note") for note in notes]


def head(profile: Profile, kinds: Sequence[tuple[str, str]], left_out: int) -> tuple[list[str], int]:
    """The SVG elements of the head, and its height in px.

    `kinds`: CSS class and label for the legend; without any there is nothing to hover over either.
    """
    y = 32
    texts = [_text("title", _cut(title_text(profile), TITLE_CHARACTERS), y)]
    y += 4
    for line, css_class in _lines(profile, left_out):
        y += _LINE_PX
        texts.append(_text(f"line {css_class}", _cut(line, LINE_CHARACTERS), y))
    if kinds:
        y += _LINE_PX + 7
        texts += _legend(kinds, y)
        y += _LINE_PX + 5
        texts.append(_text("details", _HINT, y))
    y += 11
    back = f'<rect class="paper" width="100%" height="{y}"/>'
    return ['<g class="head">', back, *texts, "</g>"], y


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + ELLIPSIS


def _text(css_class: str, text: str, y: int) -> str:
    return f'<text class="{css_class}" x="{MARGIN_PX}" y="{y}">{escape(text, quote=False)}</text>'


def _legend(kinds: Sequence[tuple[str, str]], y: int) -> list[str]:
    parts = ['<g class="legend">']
    x = float(MARGIN_PX)
    for css_class, label in kinds:
        parts.append(
            f'<g class="{css_class}"><rect x="{x:.0f}" y="{y - 10}" width="12" height="12" rx="3"/>'
            f'<text x="{x + 18:.0f}" y="{y}">{label}</text></g>'
        )
        x += len(label) * _LEGEND_CHARACTER_PX + _LEGEND_GAP_PX
    return [*parts, "</g>"]
