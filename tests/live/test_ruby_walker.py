"""The Ruby walker at real interrupts: what a live Ruby runs is what the samples show."""

from __future__ import annotations

import select
import time
from collections import Counter

import pytest

from profiler.capture.kernel_source import KernelSource
from profiler.capture.records import RawSample
from profiler.capture.source import Sampling
from symbolizers.frame import FIRST_ANNOTATION, RawFrame
from tests.support.ruby_target import NAMES, RubyTarget, ruby_target

DEADLINE_S = 20.0


def sampled(target: RubyTarget, count: int) -> list[tuple[RawSample, tuple[str, ...]]]:
    """At least `count` samples of the target, told to go, with the names of their frames, root first."""
    pid = target.handle.id.pid
    source = KernelSource(Sampling(frequency_hz=250, targets=(pid,)))
    samples: list[RawSample] = []
    names: dict[RawFrame, str] = {}
    symbolizer = target.symbolizer(target.memory)
    try:
        source.load()
        source.configure(pid, target.handle.id.start_ns(), [target.interpreter], user=0)
        source.start()
        target.stdin.write("\n")
        target.stdin.flush()
        end = time.monotonic() + DEADLINE_S
        while len(samples) < count:
            assert time.monotonic() < end, f"{len(samples)} samples in {DEADLINE_S} s"
            select.select([source.fileno()], [], [], 1)
            for record in source.drain():
                if isinstance(record, RawSample) and record.interpreter:
                    samples.append(record)
                    for frame in code_of(record):
                        key = frame._replace(position=0)
                        if key not in names:
                            target.memory.forget()
                            names[key] = symbolizer.read(frame).name
    finally:
        source.close()
    return [(s, tuple(names[f._replace(position=0)] for f in reversed(code_of(s)))) for s in samples]


def code_of(sample: RawSample) -> list[RawFrame]:
    """The frames of functions, leaf first, without annotations: Ruby collects garbage now and then."""
    return [frame for frame in sample.interpreter if frame.address < FIRST_ANNOTATION]


def test_methods_of_every_kind_have_their_names() -> None:
    loop = ("<main>", "Kernel#loop", "block in <main>", "Object#step")
    worker = "Tools::Inner::Worker"
    each = ("Tools.each_number", "Array#each", f"block in {worker}#work")
    works = (
        f"{worker}.start",
        f"{worker}#work",
        *each,
        "Integer#times",
        f"block (2 levels) in {worker}#work",
    )
    expected = {
        (*loop, *works, "Object#burn"),
        (*loop, "Object#in_fiber", "Fiber#resume", "block in Object#in_fiber", "Object#burn"),
        (*loop, "Object#rescued", "rescue in Object#rescued", "Object#burn"),
        (*loop, "Object#rescued", "Object#burn"),
        (*loop, "nameless", "Object#burn"),
        (*loop, "single", "Object#burn"),
        (*loop, "block in <class:Made>", "Object#burn"),
    }
    with ruby_target("ruby", NAMES) as target:
        samples = sampled(target, 400)
    stacks = Counter(names for _, names in samples)
    assert expected <= set(stacks)
    # The rest is what happens between calls: fibers and exceptions being made, String#=~ and the like.
    assert sum(stacks[stack] for stack in expected) > 0.5 * len(samples)
    assert {names[0] for names in stacks} == {"<main>"}
    assert {sample.walk_status for sample, _ in samples} == {0}


@pytest.mark.parametrize("depth", [3, 64, 500, 1000])
def test_a_recursion_is_as_deep_as_it_is(depth: int) -> None:
    outside = ("Kernel#loop", "block in Object#descend")
    with ruby_target("ruby", NAMES, "deep", str(depth)) as target:
        samples = sampled(target, 100)
    stacks = Counter(names for _, names in samples)
    whole = ("<main>", *["Object#descend"] * depth, *outside, "Object#burn")
    (most_common, seen), *_ = stacks.most_common(1)
    assert most_common == whole
    assert seen > 90
    assert {sample.walk_status for sample, _ in samples} == {0}


def test_a_deeper_one_is_cut_at_its_root() -> None:
    with ruby_target("ruby", NAMES, "deep", "3000") as target:
        samples = sampled(target, 30)
    for sample, names in samples[5:]:
        assert (sample.walk_status, len(names)) == (1, 1024)
        assert set(names[:1000]) == {"Object#descend"}


def test_a_thread_shows_its_own_stack_also_without_the_lock() -> None:
    with ruby_target("ruby", NAMES, "threads") as target:
        samples = sampled(target, 600)
        pid = target.handle.id.pid
    main = [names for sample, names in samples if sample.tid == pid]
    others = Counter(names for sample, names in samples if sample.tid != pid)
    assert len(main) > 50
    assert all(not any("deflate" in name for name in names) for names in main)
    (most_common, seen), *_ = others.most_common(1)
    assert most_common == (
        "block in <main>",
        "Object#deflate",
        "Kernel#loop",
        "block in Object#deflate",
        "Zlib.deflate",
    )
    assert seen > 50
    busy = Counter(sample.tid for sample, _ in samples).most_common(2)
    assert sum(count for _, count in busy) > len(samples) - 3, "the thread that waits runs to begin only"


def test_a_thread_behind_many_others_is_found() -> None:
    with ruby_target("ruby", NAMES, "crowd") as target:
        samples = sampled(target, 30)
    assert Counter(names for _, names in samples).most_common(1)[0][0] == ("block in <main>", "Object#spin")
