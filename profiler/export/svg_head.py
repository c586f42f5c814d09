"""The head of the picture: what was recorded, what was lost, notes and legend."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from profiler.export.text import ELLIPSIS, losses_text, printable, title_text, warnings
from profiler.profile.model import Profile

MARGIN_PX = 16
TITLE_CHARACTERS = 110
TITLE_LINES = 3
LINE_CHARACTERS = 180
NOTE_LINES = 6

_LINE_PX = 17
_TITLE_LINE_PX = 24
_LEGEND_CHARACTER_PX = 6.6
_LEGEND_GAP_PX = 34
_HINT = "Hover over a frame to see its counts."


def head(profile: Profile, kinds: Sequence[tuple[str, str]], left_out: int) -> tuple[list[str], int]:
    """The SVG elements of a recording's head, and its height in px.

    `kinds`: CSS class and label for the legend; without any there is nothing to hover over either.
    `left_out`: how many frames are not drawn.
    """
    return head_of(title_text(profile), _paragraphs(profile, left_out), kinds)


def head_of(
    title: str, paragraphs: Sequence[tuple[str, str]], kinds: Sequence[tuple[str, str]]
) -> tuple[list[str], int]:
    """The SVG elements of a head, and its height in px.

    `paragraphs`, of any length, have their CSS classes: ``quiet``, ``loss`` or ``note``.
    """
    y = 32
    lines = _wrapped(title, TITLE_CHARACTERS)
    if len(lines) > TITLE_LINES:
        last = lines[TITLE_LINES - 1]
        lines[TITLE_LINES - 1 :] = [last[: TITLE_CHARACTERS - 1] + ELLIPSIS]
    texts = [_text("title", lines, y, _TITLE_LINE_PX)]
    y += 4 + _TITLE_LINE_PX * (len(lines) - 1)
    for text, css_class in paragraphs:
        lines = _wrapped(text, LINE_CHARACTERS)
        texts.append(_text(f"line {css_class}", lines, y + _LINE_PX, _LINE_PX))
        y += _LINE_PX * len(lines)
    if kinds:
        y += _LINE_PX + 7
        texts += _legend(kinds, y)
        y += _LINE_PX + 5
        texts.append(_text("details", [_HINT], y, _LINE_PX))
    y += 11
    back = f'<rect class="paper" width="100%" height="{y}"/>'
    return ['<g class="head">', back, *texts, "</g>"], y


def _paragraphs(profile: Profile, left_out: int) -> list[tuple[str, str]]:
    """What stands below the title, each paragraph with its CSS class."""
    cpus = "1 CPU" if profile.cpus == 1 else f"{profile.cpus:,} CPUs"
    recorded = (
        printable(profile.started_at).replace("T", " ", 1),
        f"{profile.duration_s:,.1f} s at {profile.frequency_hz:,} Hz",
        cpus,
        printable(profile.event),
    )
    losses = profile.losses
    lossy = losses.lost or losses.symbolized < losses.samples
    paragraphs = [(" · ".join(recorded), "quiet"), (losses_text(losses), "loss" if lossy else "quiet")]
    paragraphs += [(f"warning: {warning}", "loss") for warning in warnings(losses)]
    notes = [printable(note) for note in profile.notes]
    if left_out:
        frames = "1 frame" if left_out == 1 else f"{left_out:,} frames"
        notes.append(f"The picture leaves out {frames} too narrow to see; the totals include them.")
    return paragraphs + [(note, "note") for note in _first(notes)]


def _first(notes: list[str]) -> list[str]:
    """As many of the notes as fit into `NOTE_LINES`, and how many are left."""
    lines = 0
    for shown, note in enumerate(notes):
        lines += len(_wrapped(note, LINE_CHARACTERS))
        last = shown + 1 == len(notes)
        if shown and lines > NOTE_LINES - (not last):
            return [*notes[:shown], f"and {len(notes) - shown} more notes"]
    return notes


def _wrapped(text: str, characters: int) -> list[str]:
    return wrap(text, characters) or [""]


def _text(css_class: str, lines: Sequence[str], y: int, line_px: int) -> str:
    """A paragraph. The space before a line parts words where a script reads the whole."""
    first, *others = (escape(line, quote=False) for line in lines)
    spans = "".join(f' <tspan x="{MARGIN_PX}" dy="{line_px}">{line}</tspan>' for line in others)
    return f'<text class="{css_class}" x="{MARGIN_PX}" y="{y}">{first}{spans}</text>'


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
