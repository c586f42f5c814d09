"""A differential flame graph: both recordings in one picture, coloured by what differs.

The width of a box is the mean of its shares before and after, so that what is gone has its place too, and the
picture of B compared with A has the same shape as that of A compared with B.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from profiler.export.diff_text import (
    basis_text,
    details,
    node_text,
    notes,
    recording_lines,
    strength,
    summary,
    title,
)
from profiler.export.svg import (
    GRAPH_WIDTH_PX,
    MIN_WIDTH_PX,
    NONE_RECORDED,
    Face,
    Picture,
    asset,
    document,
    style_sheet,
)
from profiler.export.svg_head import head_of
from profiler.export.tree import Box
from profiler.profile.diff import Diff, Difference, Node

_LEGEND = {
    "new0": "new",
    "more3": "more",
    "less3": "less",
    "gone0": "gone",
    "doubtful0": "the lost samples may explain it",
    "unsteady0": "recordings of one side differ as much",
    "noise0": "chance may explain it",
}


def write(diff: Diff, stream: BinaryIO) -> None:
    """Write the whole picture, UTF-8. Recordings without samples give a picture that says so."""
    for part in document(_picture(diff)):
        stream.write(part.encode())
        stream.write(b"\n")


def _picture(diff: Diff) -> Picture:
    drawn, narrow = _laid_out(diff)
    whole = max(diff.nodes[0].total.share_before, diff.nodes[0].total.share_after) or 1.0
    faces = [Face(_css_class(node.total, whole), details(node)) for node, _ in drawn]
    present = {face.css_class[:-1] for face in faces}
    kinds = [(name, label) for name, label in _LEGEND.items() if name[:-1] in present]
    before, after = recording_lines(diff)
    lines = [
        (f"before: {before}", "quiet"),
        (f"after: {after}", "quiet"),
        (f"{summary(diff)}; {basis_text(diff.by)}", ""),
        *((note, "note") for note in notes(diff)),
    ]
    if narrow:
        frames = "1 frame" if narrow == 1 else f"{narrow:,} frames"
        lines.append((f"The picture leaves out {frames} too narrow to see.", "note"))
    return Picture(
        title(diff),
        "pidflame diff",
        style_sheet(()) + asset("diff.css"),
        head_of(title(diff), lines, kinds),
        [box for _, box in drawn],
        faces,
        NONE_RECORDED,
    )


def _css_class(difference: Difference, whole: float) -> str:
    return f"{difference.verdict.value}{strength(difference, whole)}"


def _laid_out(diff: Diff) -> tuple[list[tuple[Node, Box]], int]:
    """The nodes that are wide enough to see, each with its box, and how many are not."""
    widths = _widths(diff)
    if not widths[0]:
        return [], 0
    boxes: list[tuple[Node, Box]] = []
    free = [0] * len(widths)
    """Where the next callee of each node begins."""
    for index, (node, width) in enumerate(zip(diff.nodes, widths, strict=True)):
        start = free[node.parent] if node.parent >= 0 else 0
        free[index] = start
        if node.parent >= 0:
            free[node.parent] += width
        if width >= MIN_WIDTH_PX / GRAPH_WIDTH_PX * widths[0]:
            boxes.append((node, Box(node_text(node), None, node.depth, start, width, 0)))
    return boxes, len(widths) - len(boxes)


def _widths(diff: Diff) -> Sequence[int]:
    """Of each node the sum of both shares, in parts so small that all are whole numbers."""
    before, after = (max(of, 1) for of in diff.of)
    return [node.total.before * after + node.total.after * before for node in diff.nodes]
