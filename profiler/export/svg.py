"""A flame graph as one SVG file: complete without scripts, interactive with the one that it carries.

Callers are below, callees above, siblings in alphabetical order. Positions and widths are percentages of
the graph, so that the script only has to change the graph's width to fit a window.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import BinaryIO
from zlib import crc32

from profiler.export.svg_head import MARGIN_PX, head, title_text
from profiler.export.text import ELLIPSIS, counted_text, printable, root_text
from profiler.export.tree import Box, lay_out, sort_stacks
from profiler.profile.model import Losses, Profile
from symbolizers.descriptor import Shades
from symbolizers.frame import KERNEL, MARKER, NATIVE
from symbolizers.registry import LANGUAGES

WIDTH_PX = 1200
"""The picture's width where no script fits it to a window."""
GRAPH_WIDTH_PX = WIDTH_PX - 2 * MARGIN_PX
MIN_WIDTH_PX = 0.1
ROW_PX = 18
CELL_PX = 7.23
"""The width of a character of the labels' monospaced font, rounded up."""
LABEL_INSET_PX = 4
SHADES = 4
NONE_RECORDED = "No samples were recorded."
NONE_SYMBOLIZED = "No sample could be symbolized."

_PROCESS = "process"
_LEGEND: Mapping[str | None, str] = {
    None: "process",
    **{language.name: language.title for language in LANGUAGES},
    NATIVE: "native",
    KERNEL: "kernel",
    MARKER: "said by pidflame",
}
# Lines of the style sheet that the colours of the languages in the picture replace.
_LIGHT_COLOURS = "/* languages, light */\n"
_DARK_COLOURS = "  /* languages, dark */\n"


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the whole picture, UTF-8. A profile without samples gives a picture that says so."""
    for part in _document(profile):
        stream.write(part.encode())
        stream.write(b"\n")


def _document(profile: Profile) -> Iterator[str]:
    boxes, left_out = lay_out(sort_stacks(profile.samples), MIN_WIDTH_PX / GRAPH_WIDTH_PX)
    present = {box.kind for box in boxes}
    kinds = [(f"{_css_name(kind)}1", label) for kind, label in _LEGEND.items() if kind in present]
    head_parts, head_px = head(profile, kinds, left_out)
    graph_px = (1 + max((box.depth for box in boxes), default=2)) * ROW_PX
    height = head_px + graph_px + MARGIN_PX
    yield '<?xml version="1.0" encoding="UTF-8" standalone="no"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" class="pidflame" width="{WIDTH_PX}" '
        f'height="{height}" viewBox="0 0 {WIDTH_PX} {height}" preserveAspectRatio="xMinYMin">'
    )
    yield f"<title>{escape(title_text(profile), quote=False)}</title>"
    yield f"<style><![CDATA[\n{_style(present)}]]></style>"
    yield '<rect class="paper" width="100%" height="100%"/>'
    yield (
        f'<svg class="graph" x="{MARGIN_PX}" y="{head_px}" width="{GRAPH_WIDTH_PX}" height="{graph_px}" '
        f'data-row="{ROW_PX}" data-cell="{CELL_PX}" data-inset="{LABEL_INSET_PX}">'
    )
    if boxes:
        yield from _frames(boxes, graph_px, _process_notes(profile.losses))
    else:
        empty = NONE_SYMBOLIZED if profile.losses.samples else NONE_RECORDED
        yield f'<text class="empty" x="50%" y="{graph_px // 2}">{empty}</text>'
    yield "</svg>"
    yield from head_parts
    if boxes:
        yield f"<script><![CDATA[\n{_asset('flamegraph.js')}]]></script>"
    yield "</svg>"


def _style(present: Collection[str | None]) -> str:
    """The style sheet, with rules for the languages among the kinds that are present."""
    shown = [language for language in LANGUAGES if language.name in present]
    light = "".join(_rules(language.name, language.palette.light, "") for language in shown)
    dark = "".join(_rules(language.name, language.palette.dark, "  ") for language in shown)
    return _asset("flamegraph.css").replace(_DARK_COLOURS, dark).replace(_LIGHT_COLOURS, light)


def _rules(name: str, shades: Shades, indent: str) -> str:
    """Two lines with a rule for each of the four shades."""
    rules = [f".{name}{shade} rect {{ fill: {colour}; }}" for shade, colour in enumerate(shades)]
    return f"{indent}{' '.join(rules[:2])}\n{indent}{' '.join(rules[2:])}\n"


def _asset(name: str) -> str:
    return files("profiler.export").joinpath(name).read_text(encoding="utf-8")


def _frames(boxes: list[Box], graph_px: int, notes: Mapping[str, str]) -> Iterator[str]:
    total = boxes[0].count
    for box in boxes:
        note = notes.get(box.text, "") if box.depth == 1 else ""
        yield _frame(box, graph_px - (box.depth + 1) * ROW_PX, total=total, note=note)


def _frame(box: Box, y: int, *, total: int, note: str) -> str:
    x = _percent(box.start, total)
    label = _label(box.text, GRAPH_WIDTH_PX * box.count / total)
    label_part = f'<text x="{x}" dx="{LABEL_INSET_PX}" y="{y + 13}">{_xml(label)}</text>' if label else ""
    return (
        f'<g class="{_css_name(box.kind)}{crc32(box.text.encode()) % SHADES}"'
        f' data-x="{box.start}" data-n="{box.count}">'
        f"<title>{_xml(box.text)}\n{_counts(box, total)}{_xml(note)}</title>"
        f'<rect x="{x}" y="{y}" width="{_percent(box.count, total)}" height="{ROW_PX - 1}"/>{label_part}</g>'
    )


def _xml(text: str) -> str:
    return escape(text, quote=False)


def _css_name(kind: str | None) -> str:
    return _PROCESS if kind is None else kind


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.4f}".rstrip("0").rstrip(".") + "%"


def _counts(box: Box, total: int) -> str:
    """``1,234 samples · 12.34 % · 56 self``; the last part only if some samples are no callee's."""
    unit = "sample" if box.count == 1 else "samples"
    own = f" · {box.self_count:,} self" if box.self_count else ""
    return f"{box.count:,} {unit} · {100 * box.count / total:.2f} %{own}"


def _label(text: str, width_px: float) -> str:
    """As much of `text` as fits; empty if that is too little to tell anything."""
    cells = int((width_px - 2 * LABEL_INSET_PX) / CELL_PX)
    used = 0
    for index, character in enumerate(text):
        used += 1 if character < "\u1100" else 2
        if used > cells:
            return text[: index - 1] + ELLIPSIS if index > 3 else ""
    return text


def _process_notes(losses: Losses) -> dict[str, str]:
    """What a process's box says about its losses, one line each, by the text of its root."""
    notes: dict[str, str] = {}
    for process in losses.per_process:
        parts = ((process.partial, "partial"), (process.dropped, "dropped"))
        lines = [counted_text(counts, what) for counts, what in parts if any(counts.values())]
        lines += [printable(process.note)] if process.note else []
        text = root_text(process.root)
        notes[text] = notes.get(text, "") + "".join(f"\n{line}" for line in lines)
    return notes
