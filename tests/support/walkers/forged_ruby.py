"""A Ruby process laid out from a layout row, for the walker."""

from __future__ import annotations

from symbolizers.layout import Row
from symbolizers.ruby.kinds import NAME
from symbolizers.ruby.layouts import LAYOUTS
from tests.support.ruby_heap import MAGIC_BLOCK, RubyHeap
from tests.support.walkers.harness import Image, Walker, word_at
from tests.support.walkers.images import pages_of

THREAD = 0x7F00_0000_0700
BASE = 0x2000_0000_0000


OBJSPACE_IN_VM, FLAGS_IN_OBJSPACE, COLLECTS_BIT = 128, 40, 2
"""What only a build's machine code says, so that no row has it."""
IMEMO_SVAR = 2 << 12 | 0x1A


def fibers(row: Row, *frames: int, ring: bool = False, collects: bool = False) -> Image:
    """A thread with as many control frames on each of its fibers, as `RubyHeap.vm` lays them out.

    With `collects`, it is the one that runs, and it collects garbage.
    """
    heap = RubyHeap(row, BASE, (64 << 10) + 64 * sum(frames))
    vm = heap.vm(THREAD, *frames, ring=ring)
    numbers = dict(row.numbers())
    if collects:
        objspace = heap.take()
        heap.put(vm + OBJSPACE_IN_VM, objspace)
        heap.put(objspace + FLAGS_IN_OBJSPACE, 1 << COLLECTS_BIT)
        numbers |= {"vm_objspace": OBJSPACE_IN_VM, "objspace_flags": FLAGS_IN_OBJSPACE}
        numbers["objspace_gc_bit"] = COLLECTS_BIT
    image = _image(heap, heap.words(vm), numbers)
    if collects:
        running, _ = words_of_collection(image, row)
        heap.put(running, thread_of(image, row))
    return _image(heap, image.walkers[0].root, numbers)


def blocks_in_blocks(row: Row, frames: int) -> Image:
    """As many frames; the way from a block's environment to the method's leads through another block's."""
    heap, image = _one_fiber(row, frames)
    block = env_of(image, row, 2)
    heap.put(block - 8, heap.env(0, word_at(image, block - 8), MAGIC_BLOCK) | 1)
    return _image(heap, image.walkers[0].root, dict(row.numbers()))


def special_variables(row: Row, frames: int) -> Image:
    """As many frames; the special variables of the method stand before its method entry."""
    heap, image = _one_fiber(row, frames)
    method = env_of(image, row, 0) - 16
    svar = heap.take()
    heap.put(svar, IMEMO_SVAR)
    heap.put(svar + row["svar_method"], word_at(image, method))
    heap.put(method, svar)
    return _image(heap, image.walkers[0].root, dict(row.numbers()))


def _one_fiber(row: Row, frames: int) -> tuple[RubyHeap, Image]:
    heap = RubyHeap(row, BASE, (64 << 10) + 64 * frames)
    return heap, _image(heap, heap.words(heap.vm(THREAD, frames)), dict(row.numbers()))


def ec_of(image: Image, row: Row) -> int:
    """The address of the thread's execution context."""
    return word_at(image, thread_of(image, row) + row["thread_ec"])


def env_of(image: Image, row: Row, index: int) -> int:
    """The address of the last word of the environment of a control frame, the leaf being 0."""
    leaf = word_at(image, ec_of(image, row) + row["ec_frame"])
    return word_at(image, leaf + index * row["frame_size"] + row["frame_ep"])


def words_of_collection(image: Image, row: Row) -> tuple[int, int]:
    """The addresses of the word that says which thread runs, and of the one that says whether it collects."""
    vm = word_at(image, image.walkers[0].root)
    owner = vm
    if row.has("vm_ractors"):
        owner = word_at(image, vm + row["vm_ractors"]) - row["ractor_node"]
    return owner + row["running"], word_at(image, vm + OBJSPACE_IN_VM) + FLAGS_IN_OBJSPACE


def thread_of(image: Image, row: Row) -> int:
    """The address of the thread."""
    vm = word_at(image, image.walkers[0].root)
    head = vm + row["vm_threads"] if row.has("vm_threads") else 0
    if not head:
        head = word_at(image, vm + row["vm_ractors"]) - row["ractor_node"] + row["ractor_threads"]
    return word_at(image, head) - row["thread_node"]


def _image(heap: RubyHeap, root: int, numbers: dict[str, int]) -> Image:
    return Image(pages_of(BASE, heap.content), (Walker.of(NAME, root, numbers),), THREAD)


def images() -> list[Image]:
    """Four of each layout row, and a ring of fibers."""
    found = [fibers(row, 20, 10, collects=collects) for row in LAYOUTS for collects in (False, True)]
    found += [make(row, 60) for row in LAYOUTS for make in (blocks_in_blocks, special_variables)]
    return [*found, fibers(LAYOUTS.named("ruby-3.1"), 20, 10, ring=True)]
