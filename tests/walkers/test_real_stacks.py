"""The walkers over the memory of this machine's interpreters: the stack that these themselves say."""

from __future__ import annotations

import pytest

from profiler.capture.wire import WalkStatus
from symbolizers.frame import FIRST_ANNOTATION
from symbolizers.registry import LANGUAGES
from tests.support.walkers.harness import Harness, Image
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
    image = take(harness, language, "kinds").image
    other = Image(image.pages, image.walkers, image.thread_pointer + 64)
    walk = harness.walk(other)
    assert (walk.sample.walk_status, walk.sample.interpreter) == (WalkStatus.COMPLETE, ())


@pytest.mark.parametrize("language", CASES)
def test_a_page_that_is_not_resident_ends_the_walk_there(harness: Harness, language: str) -> None:
    """Each page in turn. What comes before it is as it was; a fault where only an annotation is missed is none."""
    target = take(harness, language, "kinds")
    whole = target.walk.sample.interpreter
    ended = set()
    for page in target.image.pages:
        rest = {address: content for address, content in target.image.pages.items() if address != page}
        walk = harness.walk(Image(rest, target.image.walkers, target.image.thread_pointer), traced=True)
        frames = walk.sample.interpreter
        assert frames == whole[: len(frames)]
        assert any(read.fault for read in walk.trace)
        if walk.sample.walk_status == WalkStatus.FAULT:
            assert walk.trace[-1].fault
            ended.add(len(frames))
        else:
            assert walk.sample.walk_status == WalkStatus.COMPLETE
            assert [f for f in whole if f.address < FIRST_ANNOTATION] == list(frames)
    assert 0 in ended
    assert len(ended) > 3


