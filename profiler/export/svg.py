"""A flame graph as one SVG file: complete without scripts, interactive with the one that it carries.

It hangs from its root (an icicle): callers are above, callees below, so that it begins where a page opens,
however deep the deepest stack is. Programs, processes and threads stand in the order of their size; functions
in that of their names. Positions and widths are percentages of the graph, so that the script only has to
change the graph's width to fit a window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import BinaryIO, NamedTuple
from zlib import crc32

from msgspec import Struct, field
from msgspec.structs import replace

from profiler.export.programs import Programs
from profiler.export.svg_about import SampleText, loss_notes
from profiler.export.svg_head import MARGIN_PX, head
from profiler.export.text import ELLIPSIS, title_text
from profiler.export.tree import MAX_BOXES, PROCESS, PROGRAM, THREAD, Box, StackSorter, lay_out
from profiler.profile.model import Profile
from symbolizers.descriptor import Shades
from symbolizers.frame import GENERATED, INLINED, KERNEL, MARKER, NATIVE
from symbolizers.registry import LANGUAGES

WIDTH_PX = 1200
"""The picture's width where no script fits it to a window."""
GRAPH_WIDTH_PX = WIDTH_PX - 2 * MARGIN_PX
MIN_WIDTH_PX = 0.1
MIN_APART_WIDTH_PX = MIN_WIDTH_PX / 4
"""What stands on a single process is there to be zoomed to."""
MIN_WIDTH_FOR_HEIGHT_PX = 0.5
"""The picture is not made taller for what is narrower."""
MAX_BOXES_APART = MAX_BOXES // 3
ROW_PX = 18
CELL_PX = 7.23
"""The width of a character of the labels' monospaced font, rounded up."""
LABEL_INSET_PX = 4
SHADES = 4
NONE_RECORDED = "No samples were recorded."
NONE_SYMBOLIZED = "No sample could be symbolized."

LEGEND: Mapping[str, str] = {
    PROCESS: "process",
    **{language.name: language.title for language in LANGUAGES},
    GENERATED: "generated",
    NATIVE: "native",
    KERNEL: "kernel",
    MARKER: "said by pidflame",
}
# Lines of the style sheet that the colours of the languages in the picture replace.
_LIGHT_COLOURS = "/* languages, light */\n"
_DARK_COLOURS = "  /* languages, dark */\n"


class Face(NamedTuple):
    """How a box looks: its CSS class, and what its title says below the name."""

    css_class: str
    details: str


class Picture(Struct, frozen=True):
    """What a picture shows, whatever it is of. All text is printable, but not escaped for XML yet."""

    title: str
    css_class: str
    style: str
    head: tuple[list[str], int]
    """Its elements, and its height in px."""
    boxes: Sequence[Box]
    faces: Iterable[Face]
    """One a box."""
    empty: str
    """What it says without boxes."""
    apart: Mapping[str, Sequence[tuple[Box, Face]]] = field(default_factory=dict)
    """By the text of a box of depth 1, what stands on it once it is opened, instead of what does before."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the whole picture, UTF-8. A profile without samples gives a picture that says so."""
    for part in document(_picture(profile)):
        stream.write(part.encode())
        stream.write(b"\n")


def _picture(profile: Profile) -> Picture:
    programs = Programs(profile.samples)
    sorter = StackSorter(profile.samples)
    min_share = MIN_WIDTH_PX / GRAPH_WIDTH_PX
    boxes, left_out = lay_out(sorter.by(programs.merged), min_share, MAX_BOXES - MAX_BOXES_APART)
    present = {_css_name(box.kind) for box in boxes}
    kinds = [(f"{kind}1", label) for kind, label in LEGEND.items() if kind in present]
    face_of = _face_of(profile, programs, sum(sample.count for sample in profile.samples))
    return Picture(
        title_text(profile),
        "pidflame",
        style_sheet(present),
        head(profile, kinds, left_out),
        boxes,
        map(face_of, boxes),
        NONE_SYMBOLIZED if profile.losses.samples else NONE_RECORDED,
        {
            text: [(box, face_of(box)) for box in stacks]
            for text, stacks in _apart(sorter, programs, boxes).items()
        },
    )


def document(picture: Picture) -> Iterator[str]:
    """The lines of the whole SVG file."""
    head_parts, head_px = picture.head
    graph_px = _rows(picture.boxes) * ROW_PX
    height = head_px + graph_px + MARGIN_PX
    yield '<?xml version="1.0" encoding="UTF-8" standalone="no"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" class="{picture.css_class}"'
        f' width="{WIDTH_PX}" height="{height}" viewBox="0 0 {WIDTH_PX} {height}"'
        ' preserveAspectRatio="xMinYMin">'
    )
    yield f"<title>{_xml(picture.title)}</title>"
    yield f"<style><![CDATA[\n{picture.style}]]></style>"
    yield '<rect class="paper" width="100%" height="100%"/>'
    yield (
        f'<svg class="graph" x="{MARGIN_PX}" y="{head_px}" width="{GRAPH_WIDTH_PX}" height="{graph_px}" '
        f'data-row="{ROW_PX}" data-cell="{CELL_PX}" data-inset="{LABEL_INSET_PX}">'
    )
    if picture.boxes:
        yield from _graph(picture)
    else:
        yield f'<text class="empty" x="50%" y="{graph_px // 2}">{picture.empty}</text>'
    yield "</svg>"
    yield from head_parts
    if picture.boxes:
        yield f"<script><![CDATA[\n{asset('flamegraph.js')}]]></script>"
    yield "</svg>"


def _graph(picture: Picture) -> Iterator[str]:
    """All boxes. What stands on one that can be opened is a group, and what does then another."""
    total = picture.boxes[0].count
    opened: Sequence[tuple[Box, Face]] | None = None
    for box, face in zip(picture.boxes, picture.faces, strict=True):
        if box.depth == 1:
            yield from _close(opened, total)
            opened = picture.apart.get(box.text) if box.kind == PROGRAM else None
        yield _frame(box, face, total)
        if box.depth == 1 and opened is not None:
            yield '<g class="by-program">'
    yield from _close(opened, total)


def _close(opened: Sequence[tuple[Box, Face]] | None, total: int) -> Iterator[str]:
    if opened is not None:
        yield '</g><g class="by-process">'
        yield from (_frame(box, face, total) for box, face in opened)
        yield "</g>"


def _frame(box: Box, face: Face, total: int) -> str:
    x, y = _percent(box.start, total), box.depth * ROW_PX
    label = _label(box.text, GRAPH_WIDTH_PX * box.count / total)
    label_part = f'<text x="{x}" dx="{LABEL_INSET_PX}" y="{y + 13}">{_xml(label)}</text>' if label else ""
    return (
        f'<g class="{face.css_class}" data-x="{box.start}" data-n="{box.count}">'
        f"<title>{_xml(box.text)}\n{_xml(face.details)}</title>"
        f'<rect x="{x}" y="{y}" width="{_percent(box.count, total)}" height="{ROW_PX - 1}"/>{label_part}</g>'
    )


def style_sheet(kinds: Collection[str | None]) -> str:
    """The style sheet, with rules for the languages among these kinds."""
    shown = [language for language in LANGUAGES if language.name in kinds]
    light = "".join(_rules(language.name, language.palette.light, "") for language in shown)
    dark = "".join(_rules(language.name, language.palette.dark, "  ") for language in shown)
    return asset("flamegraph.css").replace(_DARK_COLOURS, dark).replace(_LIGHT_COLOURS, light)


def _apart(sorter: StackSorter, programs: Programs, merged: Sequence[Box]) -> Mapping[str, Sequence[Box]]:
    """What stands on each program of several processes, by its text, if its processes are told apart."""
    starts = {box.text: box.start for box in merged if box.kind == PROGRAM}
    stacks = sorter.by(programs.apart, programs.is_several)
    several = sum(count for _, count in stacks.sorted)
    if not several:
        return {}
    min_share = MIN_APART_WIDTH_PX / GRAPH_WIDTH_PX * merged[0].count / several
    found: defaultdict[str, list[Box]] = defaultdict(list)
    program, shift = "", 0
    for box in lay_out(stacks, min_share, MAX_BOXES_APART)[0]:
        if box.kind == PROGRAM:
            program, shift = box.text, starts.get(box.text, 0) - box.start
        elif program in starts:
            found[program].append(replace(box, start=box.start + shift))
    return found


def _rows(boxes: Sequence[Box]) -> int:
    """How many rows the picture has room for."""
    if not boxes:
        return 3
    least = boxes[0].count * MIN_WIDTH_FOR_HEIGHT_PX / GRAPH_WIDTH_PX
    return 1 + max(box.depth for box in boxes if box.count >= least)


def _face_of(profile: Profile, programs: Programs, total: int) -> Callable[[Box], Face]:
    notes = loss_notes(profile.losses, programs)
    about = SampleText(total, profile.frequency_hz)

    def face(box: Box) -> Face:
        css_class = f"{_css_name(box.kind)}{crc32(box.text.encode()) % SHADES}"
        lost = notes.get(box.text, ()) if box.kind in (PROGRAM, PROCESS) else ()
        return Face(css_class, "\n".join((*about.lines(box), *lost)))

    return face


def _css_name(kind: str | None) -> str:
    return PROCESS if kind in (None, PROGRAM, THREAD) else NATIVE if kind == INLINED else kind


def _rules(name: str, shades: Shades, indent: str) -> str:
    """Two lines with a rule for each of the four shades."""
    rules = [f".{name}{shade} rect {{ fill: {colour}; }}" for shade, colour in enumerate(shades)]
    return f"{indent}{' '.join(rules[:2])}\n{indent}{' '.join(rules[2:])}\n"


def asset(name: str) -> str:
    """The text of a file of this package."""
    return files("profiler.export").joinpath(name).read_text(encoding="utf-8")


def _xml(text: str) -> str:
    return escape(text, quote=False)


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.4f}".rstrip("0").rstrip(".") + "%"


def _label(text: str, width_px: float) -> str:
    """As much of `text` as fits; empty if that is too little to tell anything."""
    cells = int((width_px - 2 * LABEL_INSET_PX) / CELL_PX)
    used = 0
    for index, character in enumerate(text):
        used += 1 if character < "\u1100" else 2
        if used > cells:
            return text[: index - 1] + ELLIPSIS if index > 3 else ""
    return text
