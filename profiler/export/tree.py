"""Stacks merged into a call tree, and laid out as boxes on a line of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from profiler.export.text import frame_text, root_text
from profiler.model import Root, Sample
from symbolizers.frame import FrameKind

TOTAL = "all"


@dataclass(slots=True)
class Node:
    """A frame in one place: reached by the same texts from the root. Frames of equal text are one node.

    `kind` is None for what is no frame: the total and the processes. `count` includes the callees',
    `self_count` doesn't.
    """

    text: str
    order: tuple[str, int]
    kind: FrameKind | None = None
    count: int = 0
    self_count: int = 0
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, text: str, order: tuple[str, int], kind: FrameKind | None) -> Node:
        """The callee of that text, made if need be."""
        found = self.children.get(text)
        if found is None:
            found = self.children[text] = Node(text, order, kind)
        return found


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place: `start` and `count` in samples, `depth` 0 for the total."""

    text: str
    kind: FrameKind | None
    depth: int
    start: int
    count: int
    self_count: int


def build_tree(samples: Iterable[Sample]) -> Node:
    """The total, above it the processes, above them their frames. Linear in frames; never recursive."""
    texts: dict[object, str] = {}
    total = Node(TOTAL, (TOTAL, 0))
    for sample in samples:
        node = total.child(_root_text(texts, sample.root), _root_order(texts, sample.root), None)
        total.count += sample.count
        node.count += sample.count
        for frame in sample.frames:
            text = texts.get(frame)
            if text is None:
                text = texts[frame] = frame_text(frame)
            node = node.child(text, (text, 0), frame.kind)
            node.count += sample.count
        node.self_count += sample.count
    return total
