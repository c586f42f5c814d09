"""A Ruby process laid out from a layout row, for the walker."""

from __future__ import annotations

from symbolizers.layout import Row
from symbolizers.ruby.kinds import NAME
from symbolizers.ruby.layouts import LAYOUTS
from tests.support.ruby_heap import RubyHeap
from tests.support.walkers.harness import Image, Walker
from tests.support.walkers.images import pages_of

THREAD = 0x7F00_0000_0700
BASE = 0x2000_0000_0000


def fibers(row: Row, *frames: int, ring: bool = False) -> Image:
    """A thread with as many control frames on each of its fibers, as `RubyHeap.vm` lays them out."""
    heap = RubyHeap(row, BASE, (64 << 10) + 64 * sum(frames))
    root = heap.words(heap.vm(THREAD, *frames, ring=ring))
    walker = Walker.of(NAME, root, dict(row.numbers()))
    return Image(pages_of(BASE, heap.content), (walker,), THREAD)


def images() -> list[Image]:
    """One of each layout row, and a ring of fibers."""
    return [*(fibers(row, 20, 10) for row in LAYOUTS), fibers(LAYOUTS.named("ruby-3.1"), 20, 10, ring=True)]
