"""The walkers over stacks laid out from every layout row, versions that no machine here has among them."""

from __future__ import annotations

import pytest

from profiler.capture.wire import WalkStatus
from symbolizers.frame import ADDRESS_MASK, CAPTURE_KIND_SHIFT, FIRST_ANNOTATION, RawFrame, capture_kind
from symbolizers.layout import Row
from symbolizers.python.layouts import LAYOUTS as PYTHON_LAYOUTS
from symbolizers.ruby.kinds import RUBY_CFUNC, RUBY_GARBAGE, RUBY_ISEQ
from symbolizers.ruby.layouts import LAYOUTS as RUBY_LAYOUTS
from tests.support.heap import PAGE_BYTES, FakeMemory
from tests.support.ruby_target import iseq_frame
from tests.support.walkers import forged_python, forged_ruby
from tests.support.walkers.harness import Harness, Image, Read, Walker, word_at
from tests.support.walkers.images import pages_of

python_rows = pytest.mark.parametrize("row", list(PYTHON_LAYOUTS), ids=lambda row: row.name)
LAST = 0x3000_0000_0000
"""The first address behind all memory."""
ruby_rows = pytest.mark.parametrize("row", list(RUBY_LAYOUTS), ids=lambda row: row.name)


@python_rows
@pytest.mark.parametrize("depth", [0, 1, 2, 63, 64, 65, 300])
def test_every_python_frame_is_captured(harness: Harness, row: Row, depth: int) -> None:
    """By address, position and checksum: `tests.support.python_walk` walks the same memory in Python."""
    forged = forged_python.stack(row, depth)
    sample = harness.walk(forged.image).sample
    assert sample.walk_status == WalkStatus.COMPLETE
    if depth:
        assert list(sample.interpreter) == forged.expected
    assert len(sample.interpreter) >= depth // 2


@python_rows
def test_python_frames_may_lie_anywhere(harness: Harness, row: Row) -> None:
    """As those of generators do, and all of the versions before 3.11."""
    forged = forged_python.stack(row, 100, scattered=True)
    assert list(harness.walk(forged.image).sample.interpreter) == forged.expected


@python_rows
def test_a_python_frame_without_code_is_torn(harness: Harness, row: Row) -> None:
    forged = forged_python.stack(row, 20)
    previous = word_at(forged.image, forged.leaf + row["frame_previous"])
    sample = harness.walk(forged.image, {previous + row["frame_code"]: 0}).sample
    assert (sample.walk_status, list(sample.interpreter)) == (WalkStatus.TORN, forged.expected[:1])


@python_rows
def test_a_python_frame_at_the_lowest_addresses_is_a_fault(harness: Harness, row: Row) -> None:
    """And is not taken from a window that was never read."""
    walk = harness.walk(forged_python.low_frame(row), traced=True)
    assert (walk.sample.walk_status, walk.sample.interpreter) == (WalkStatus.FAULT, ())
    assert walk.trace[-1] == Read((8 + row["frame_window"] - 512) % (1 << 64), 512, True)


@python_rows
def test_a_python_thread_behind_2000_others_is_found(harness: Harness, row: Row) -> None:
    forged = forged_python.stack(row, 3, others=2000)
    walk = harness.walk(forged.image)
    assert list(walk.sample.interpreter) == forged.expected
    assert walk.tail_calls > 20


@pytest.mark.parametrize("name", ["cpython-3.11", "cpython-3.12"])
@pytest.mark.parametrize("shown", [1023, 1024, 1025])
def test_a_python_stack_may_have_1024_frames(harness: Harness, name: str, shown: int) -> None:
    """Frames that nobody wrote take no room, at the root neither."""
    row = PYTHON_LAYOUTS.named(name)
    forged = forged_python.stack(row, forged_python.depth_of(row, shown))
    sample = harness.walk(forged.image).sample
    assert len(forged.expected) == shown
    assert list(sample.interpreter) == forged.expected[:1024]
    assert sample.walk_status == (WalkStatus.COMPLETE if shown <= 1024 else WalkStatus.TRUNCATED)


def memory_of(image: Image) -> FakeMemory:
    memory = FakeMemory()
    memory.pages = {address // PAGE_BYTES: bytearray(content) for address, content in image.pages.items()}
    return memory


@ruby_rows
@pytest.mark.parametrize("counts", [(1,), (7,), (8, 9), (48, 1), (49, 20, 3)])
def test_every_ruby_frame_is_captured(harness: Harness, row: Row, counts: tuple[int, ...]) -> None:
    """A method, a C function and a block of the method by turns, all of them of one method entry."""
    image = forged_ruby.fibers(row, *counts)
    sample = harness.walk(image).sample
    shown = counts if row.has("fiber_prev") else counts[:1]
    assert sample.walk_status == WalkStatus.COMPLETE
    assert len(sample.interpreter) == sum(shown)
    indexes = [index for count in shown for index in range(count)]
    memory = memory_of(image)
    for index, frame in zip(indexes, sample.interpreter, strict=True):
        assert capture_kind(frame.address) == (RUBY_CFUNC if index % 3 == 1 else RUBY_ISEQ)
        if index % 3 == 1:
            assert frame.owner == frame.address & ADDRESS_MASK
        else:
            told = iseq_frame(row, memory, frame.address & ADDRESS_MASK, owner=frame.owner)
            assert frame == told._replace(position=frame.position)
    assert len({frame.owner for frame in sample.interpreter}) == len(shown)


@ruby_rows
def test_blocks_in_blocks_belong_to_their_method(harness: Harness, row: Row) -> None:
    """Runs end on the way out of a block: the next one begins with the same frame."""
    sample = harness.walk(forged_ruby.blocks_in_blocks(row, 300)).sample
    assert sample.walk_status == WalkStatus.COMPLETE
    assert sample.interpreter == harness.walk(forged_ruby.fibers(row, 300)).sample.interpreter
    assert len(sample.interpreter) == 300


@ruby_rows
def test_a_method_that_a_c_function_calls_again_is_the_same(harness: Harness, row: Row) -> None:
    """Method, C function, method: the last one's checksum is not of what was read for the second."""
    image = forged_ruby.fibers(row, 6)
    leaf = word_at(image, forged_ruby.ec_of(image, row) + row["ec_frame"])
    third = leaf + 2 * row["frame_size"]
    again = {third + row[name]: word_at(image, leaf + row[name]) for name in ("frame_iseq", "frame_ep")}
    frames = harness.walk(image, again).sample.interpreter
    assert frames[2] == frames[0] != frames[1]


@pytest.mark.parametrize(
    "row", [row for row in RUBY_LAYOUTS if row["thread_native_is_pointer"]], ids=lambda row: row.name
)
def test_a_ruby_thread_without_a_native_one_is_passed_over(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 6)
    native = forged_ruby.thread_of(image, row) + row["thread_native"]
    sample = harness.walk(image, {native: 0}).sample
    assert (sample.walk_status, sample.interpreter) == (WalkStatus.COMPLETE, ())


@ruby_rows
def test_a_method_with_special_variables_is_found(harness: Harness, row: Row) -> None:
    sample = harness.walk(forged_ruby.special_variables(row, 30)).sample
    assert sample.interpreter == harness.walk(forged_ruby.fibers(row, 30)).sample.interpreter
    assert all(frame.owner for frame in sample.interpreter)


@ruby_rows
def test_ruby_frames_outside_of_their_stack_are_torn(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 10)
    ec = forged_ruby.ec_of(image, row)
    stack = word_at(image, ec + row["ec_stack"])
    for frame in (stack - row["frame_size"], stack + 11 * row["frame_size"]):
        sample = harness.walk(image, {ec + row["ec_frame"]: frame}).sample
        assert (sample.walk_status, sample.interpreter) == (WalkStatus.TORN, ())


@ruby_rows
def test_ruby_frames_at_the_lowest_addresses_are_a_fault(harness: Harness, row: Row) -> None:
    """And are not taken from a window that was never read."""
    image = forged_ruby.fibers(row, 10)
    ec = forged_ruby.ec_of(image, row)
    walk = harness.walk(image, {ec + row[name]: 8 for name in ("ec_stack", "ec_frame")}, traced=True)
    assert (walk.sample.walk_status, walk.sample.interpreter) == (WalkStatus.FAULT, ())
    assert walk.trace[-1] == Read(8, 8 * row["frame_size"], True)


@ruby_rows
def test_a_part_of_a_ruby_frame_at_the_end_is_none(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 10)
    ec = forged_ruby.ec_of(image, row)
    words = word_at(image, ec + row["ec_stack_words"])
    sample = harness.walk(image, {ec + row["ec_stack_words"]: words - 1}).sample
    assert (sample.walk_status, len(sample.interpreter)) == (WalkStatus.COMPLETE, 9)


@ruby_rows
def test_a_ruby_stack_may_end_where_memory_ends(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 13)
    ec = forged_ruby.ec_of(image, row)
    stack = word_at(image, ec + row["ec_stack"])
    size = 13 * row["frame_size"]
    frames = memory_of(image).read(stack, size)
    moved = Image({**image.pages, **pages_of(LAST - size, frames)}, image.walkers, image.thread_pointer)
    changes = {ec + row[name]: LAST - size for name in ("ec_stack", "ec_frame")}
    sample = harness.walk(moved, changes).sample
    assert sample.walk_status == WalkStatus.COMPLETE
    assert sample.interpreter == harness.walk(image).sample.interpreter


@pytest.mark.parametrize(
    "row", [row for row in RUBY_LAYOUTS if row.has("fiber_prev")], ids=lambda row: row.name
)
def test_what_resumed_a_fiber_and_is_none_has_no_frames(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 5, 4)
    ec = forged_ruby.ec_of(image, row)
    fiber = word_at(image, ec + row["ec_fiber"])
    resumer = word_at(image, fiber + row["fiber_prev"])
    sample = harness.walk(image, {resumer + (ec - fiber) + row["ec_fiber"]: fiber}).sample
    assert (sample.walk_status, len(sample.interpreter)) == (WalkStatus.COMPLETE, 5)


def test_ruby_frames_too_large_for_the_window_are_torn(harness: Harness) -> None:
    row = RUBY_LAYOUTS.named("ruby-3.1")
    image = forged_ruby.fibers(row, 20)
    (walker,) = image.walkers
    wider = Walker.of("ruby", walker.root, {**dict(row.numbers()), "frame_size": 72})
    sample = harness.walk(Image(image.pages, (wider,), image.thread_pointer)).sample
    assert (sample.walk_status, sample.interpreter) == (WalkStatus.TORN, ())


@pytest.mark.parametrize("counts", [(1024,), (1025,), (600, 600)])
def test_a_ruby_stack_has_at_most_1024_frames(harness: Harness, counts: tuple[int, ...]) -> None:
    sample = harness.walk(forged_ruby.fibers(RUBY_LAYOUTS.named("ruby-3.1"), *counts)).sample
    assert len(sample.interpreter) == 1024
    assert sample.walk_status == (WalkStatus.TRUNCATED if sum(counts) > 1024 else WalkStatus.COMPLETE)


def test_a_ring_of_fibers_ends(harness: Harness) -> None:
    image = forged_ruby.fibers(RUBY_LAYOUTS.named("ruby-3.1"), 10, 10, ring=True)
    walk = harness.walk(image)
    assert walk.sample.walk_status == WalkStatus.TRUNCATED
    assert walk.tail_calls == 26
    assert len(walk.sample.interpreter) == 240


def test_frames_of_two_interpreters_follow_each_other(harness: Harness) -> None:
    """Of one process, the leaf's first: `profiler.capture.kernel_source` puts the walkers in order."""
    python = forged_python.stack(PYTHON_LAYOUTS.named("cpython-3.14"), 70)
    ruby = forged_ruby.fibers(RUBY_LAYOUTS.named("ruby-3.4"), 50)
    pages = {**python.image.pages, **ruby.pages}
    alone = harness.walk(ruby).sample.interpreter
    image = Image(pages, (*python.image.walkers, *ruby.walkers), forged_python.THREAD)
    sample = harness.walk(image).sample
    assert list(sample.interpreter) == [*python.expected, *alone]
    assert sample.walk_status == WalkStatus.COMPLETE


@ruby_rows
def test_ruby_that_collects_garbage_says_so_before_the_leaf(harness: Harness, row: Row) -> None:
    image = forged_ruby.fibers(row, 5, collects=True)
    running, collecting = forged_ruby.words_of_collection(image, row)
    frames = harness.walk(image).sample.interpreter
    assert frames[0] == RawFrame(RUBY_GARBAGE << CAPTURE_KIND_SHIFT, 0, 0, 0)
    assert all(frame.address < FIRST_ANNOTATION for frame in frames[1:])
    for word in (running, collecting):
        assert harness.walk(image, {word: 0}).sample.interpreter == frames[1:]
