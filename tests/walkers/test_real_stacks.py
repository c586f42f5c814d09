"""The walkers over the memory of this machine's interpreters: the stack that these themselves say."""

from __future__ import annotations

import pytest

from profiler.capture.wire import WalkStatus
from symbolizers.frame import FIRST_ANNOTATION
from symbolizers.registry import LANGUAGES
from tests.support.walkers.harness import RSP, Harness, Image, registers_on
from tests.support.walkers.targets import PROGRAMS, agrees, take

CASES = [language.name for language in LANGUAGES if language.name in PROGRAMS]


@pytest.mark.parametrize("language", CASES)
@pytest.mark.parametrize("scenario", ["kinds", "thread"])
def test_a_stack_is_what_the_interpreter_says(harness: Harness, language: str, scenario: str) -> None:
    target = take(harness, language, scenario)
    assert agrees(target.told, target.found), (target.told, target.found)
    assert target.walk.sample.walk_status == WalkStatus.COMPLETE
    assert len(target.found) > 5


@pytest.mark.parametrize("language", CASES)
def test_a_deep_stack_takes_several_runs(harness: Harness, language: str) -> None:
    target = take(harness, language, "deep", "1000")
    assert agrees(target.told, target.found)
    assert target.walk.sample.walk_status == WalkStatus.COMPLETE
    assert len(target.found) > 1000
    assert 10 < target.walk.tail_calls < 33
    assert target.walk.reads < 2 * len(target.found), "a function that calls itself is read once a run"


@pytest.mark.parametrize("language", CASES)
def test_a_deeper_stack_is_cut_at_its_root(harness: Harness, language: str) -> None:
    target = take(harness, language, "deep", "1500")
    assert target.walk.sample.walk_status == WalkStatus.TRUNCATED
    assert len(target.found) == 1024
    assert agrees(target.told[:1024], target.found)


@pytest.mark.parametrize("language", CASES)
def test_a_thread_that_the_interpreter_does_not_know_has_no_frames(harness: Harness, language: str) -> None:
    """It has another thread pointer, and another stack."""
    image = take(harness, language, "kinds").image
    registers = registers_on(image.registers[RSP] - (1 << 30))
    other = Image(image.pages, image.walkers, image.thread_pointer + 64, registers)
    walk = harness.walk(other)
    assert (walk.sample.walk_status, walk.sample.interpreter) == (WalkStatus.COMPLETE, ())


@pytest.mark.parametrize("language", CASES)
def test_a_read_that_faults_ends_the_walk_there(harness: Harness, language: str) -> None:
    """Each read in turn. What was captured before it stays; only annotations are missed without a fault."""
    target = take(harness, language, "kinds")
    whole = target.walk.sample.interpreter
    code = tuple(frame for frame in whole if frame.address < FIRST_ANNOTATION)
    ended = set()
    for number in range(1, target.walk.reads + 1):
        walk = harness.walk(target.image, fails_at=number, traced=True)
        frames = walk.sample.interpreter
        assert walk.trace[number - 1].fault
        if walk.sample.walk_status == WalkStatus.ROOT_FAULT:
            assert (number, frames) == (1, ())
            ended.add(0)
        elif walk.sample.walk_status == WalkStatus.FAULT:
            assert walk.reads == number
            assert frames == whole[: len(frames)]
            ended.add(len(frames))
        else:
            assert walk.sample.walk_status == WalkStatus.COMPLETE
            assert frames == code
    assert ended >= {0, len(code) - 1}
    assert len(ended) > len(code) / 3
