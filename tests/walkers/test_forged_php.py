"""The PHP walker over stacks laid out from every layout row, versions that no machine here has among them."""

from __future__ import annotations

import struct

import pytest
from msgspec.structs import replace

from profiler.capture.wire import WalkStatus
from symbolizers.frame import capture_kind
from symbolizers.layout import Row
from symbolizers.php.kinds import PHP_INTERNAL
from symbolizers.php.layouts import LAYOUTS
from tests.support.heap import PAGE_BYTES
from tests.support.php_heap import PhpHeap
from tests.support.walkers.forged_php import STACK, ForgedPhp, every_kind, leaf, recursion, ring
from tests.support.walkers.harness import Harness, registers_on

rows = pytest.mark.parametrize("row", list(LAYOUTS), ids=lambda row: str(row.name))


@rows
@pytest.mark.parametrize("frameless", [False, True])
def test_every_kind_of_frame_is_captured(harness: Harness, row: Row, frameless: bool) -> None:
    forged, image = every_kind(row, frameless=frameless)
    sample = harness.walk(image).sample
    assert sample.walk_status == WalkStatus.COMPLETE
    assert list(sample.interpreter) == forged.expected


@rows
@pytest.mark.parametrize("where", ["register", "frame", "nowhere", "compiled"])
def test_a_leaf_has_the_opline_that_can_be_believed(harness: Harness, row: Row, where: str) -> None:
    forged, image = leaf(row, where)
    assert list(harness.walk(image).sample.interpreter) == forged.expected


def test_a_leaf_that_makes_a_frameless_call_is_below_it(harness: Harness) -> None:
    """Where the register says so; what the frame says may be of an earlier instruction."""
    forged = ForgedPhp(LAYOUTS.named("php-8.4"))
    forged.user(b"")
    forged.loader(0, opcode=204)
    call = forged.heap.memory.read(forged.top, 8)
    rip = forged.root + 0x1008
    forged.put(forged.top, 0)
    assert (
        list(harness.walk(forged.image(has_frameless=True, rip=rip)).sample.interpreter)[1:]
        == (forged.expected[1:])
    )
    forged.frameless(b"strpos")
    image = forged.image(has_frameless=True, rip=rip, r15=int.from_bytes(call, "little"))
    assert list(harness.walk(image).sample.interpreter) == forged.expected


@rows
@pytest.mark.parametrize("depth", [1, 2, 48, 49, 300, 1023, 1024, 1025])
def test_a_recursion_is_as_deep_as_it_is(harness: Harness, row: Row, depth: int) -> None:
    forged, image = recursion(row, depth)
    walk = harness.walk(image)
    assert list(walk.sample.interpreter) == forged.expected[:1024]
    status = WalkStatus.COMPLETE if depth <= 1024 else WalkStatus.TRUNCATED
    assert walk.sample.walk_status == status
    assert walk.reads < 1.2 * depth + 10


def test_generators_beyond_the_room_cut_the_stack(harness: Harness) -> None:
    forged = ForgedPhp(LAYOUTS.named("php-8.2"))
    forged.delegating(1100)
    walk = harness.walk(forged.image())
    assert walk.sample.walk_status == WalkStatus.TRUNCATED
    assert list(walk.sample.interpreter) == forged.expected[:1]


def test_a_generator_without_a_function_of_its_own_is_torn(harness: Harness) -> None:
    """Else its slot would keep what another sample left there."""
    forged = ForgedPhp(LAYOUTS.named("php-8.2"))
    forged.user()
    forged.delegating(2)
    image = forged.image()
    outermost = forged.expected[2].owner
    assert harness.walk(image, {outermost: 1, outermost + 8: 0}).sample.walk_status == WalkStatus.TORN


def test_frames_in_a_ring_end(harness: Harness) -> None:
    walk = harness.walk(ring(LAYOUTS.named("php-8.2")))
    assert (walk.sample.walk_status, len(walk.sample.interpreter)) == (WalkStatus.TRUNCATED, 1024)


@pytest.mark.parametrize("stack", [STACK - (8 << 20), STACK + 513, 0])
def test_a_thread_on_another_stack_runs_no_php(harness: Harness, stack: int) -> None:
    _, image = leaf(LAYOUTS.named("php-8.2"), "frame")
    assert harness.walk(image).sample.interpreter
    other = replace(image, registers=registers_on(stack))
    sample = harness.walk(other).sample
    assert (sample.walk_status, sample.interpreter) == (WalkStatus.COMPLETE, ())


def test_between_scripts_nothing_runs(harness: Harness) -> None:
    forged, image = leaf(LAYOUTS.named("php-8.2"), "frame")
    bailout = forged.root + forged.row["bailout"]
    assert harness.walk(image, {bailout: 0}).sample.interpreter == ()
    current = forged.root + forged.row["current_frame"]
    assert harness.walk(image, {current: 0}).sample.interpreter == ()


def test_a_function_of_no_known_type_is_torn(harness: Harness) -> None:
    forged, image = leaf(LAYOUTS.named("php-8.2"), "frame")
    function = forged.expected[0].owner
    assert harness.walk(image, {function: 3}).sample.walk_status == WalkStatus.TORN


@rows
def test_an_internal_function_may_end_with_its_page(harness: Harness, row: Row) -> None:
    """The next page is not there; that of user code, which is longer, is a fault."""
    forged = ForgedPhp(row)
    size = row["internal_handler"] + 8
    end = 0x7F99_0000_0000 + PAGE_BYTES
    content = forged.heap.memory.read(forged.heap.internal(b"usleep"), size)
    forged.heap.memory.write(end - size, content)
    forged.call(end - size)
    forged.expect(end - size, 0, PHP_INTERNAL)
    sample = harness.walk(forged.image()).sample
    assert list(sample.interpreter) == forged.expected
    assert capture_kind(sample.interpreter[0].address) == PHP_INTERNAL
    type_ = struct.unpack_from("<Q", content)[0] + 1
    assert harness.walk(forged.image(), {end - size: type_}).sample.walk_status == WalkStatus.FAULT


def test_the_heap_is_read_as_it_is_laid_out() -> None:
    """What is expected of the walker is what the reader accepts."""
    from symbolizers.php.functions import PhpSymbolizer

    for row in LAYOUTS:
        forged, _ = every_kind(row, frameless=True)
        heap: PhpHeap = forged.heap
        reader = PhpSymbolizer(row, heap.memory, lines=True)
        names = [reader.read(frame).name for frame in forged.expected]
        assert names[:2] == ["usleep", "run"]
        assert {"eval", "include", "require_once", "{main}", "in_array", "delegates"} <= {*names}
