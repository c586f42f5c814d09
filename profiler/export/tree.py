"""Stacks merged into a call tree, and the tree laid out as boxes over a line of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from profiler.export.text import frame_text, root_text, thread_text
from profiler.profile.model import Sample

TOTAL = "all"


@dataclass(slots=True)
class Node:
    """A frame in one place: reached by the same texts from the root. Frames of equal text are one node.

    `kind` is None for the total, processes and threads, which are no frames. `count` includes the callees',
    `self_count` doesn't. `order` sorts a node among its siblings.
    """

    text: str
    order: tuple[str, int]
    kind: str | None = None
    count: int = 0
    self_count: int = 0
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, text: str, order: tuple[str, int], *, kind: str | None = None) -> Node:
        """The callee of that text, made if need be."""
        found = self.children.get(text)
        if found is None:
            found = self.children[text] = Node(text, order, kind)
        return found


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place: `start` and `count` in samples, `depth` 0 for the total."""

    text: str
    kind: str | None
    depth: int
    start: int
    count: int
    self_count: int


def build_tree(samples: Iterable[Sample]) -> Node:
    """The total, above it processes, threads if told apart, and frames. Linear in frames; never recursive."""
    text_of = cache(frame_text)
    total = Node(TOTAL, (TOTAL, 0))
    for sample in samples:
        text = root_text(sample.root)
        name = text.rpartition(" ")[0]
        total.count += sample.count
        node = total.child(text, (name, sample.root.pid))
        node.count += sample.count
        if sample.thread is not None:
            text = thread_text(sample.thread)
            node = node.child(text, (text.rpartition(" ")[0], sample.thread.tid))
            node.count += sample.count
        for frame in sample.frames:
            text = text_of(frame)
            node = node.child(text, (text, 0), kind=frame.kind)
            node.count += sample.count
        node.self_count += sample.count
    return total


def lay_out(total: Node, min_share: float) -> tuple[list[Box], int]:
    """The boxes, callers before callees and left before right, and how many frames were left out.

    Siblings are in alphabetical order (processes then by pid, threads by tid), so that two runs look alike.
    A node that holds less than `min_share` of the total is left out; its place stays empty, so that no other
    box moves.
    """
    boxes: list[Box] = []
    left_out = 0
    waiting = [(total, 0, 0)] if total.count else []
    while waiting:
        node, depth, start = waiting.pop()
        if node.count < min_share * total.count:
            left_out += 1
        else:
            boxes.append(Box(node.text, node.kind, depth, start, node.count, node.self_count))
        callees = []
        for child in sorted(node.children.values(), key=lambda child: child.order):
            callees.append((child, depth + 1, start))
            start += child.count
        waiting.extend(reversed(callees))
    return boxes, left_out
