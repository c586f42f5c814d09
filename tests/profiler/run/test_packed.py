"""Stacks that are packed come back as they went in, and take little."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from profiler.run.packed import Packed, PackedStacks

NUMBER = st.integers(0, 5) | st.integers(0, (1 << 64) - 1)
STACK = st.builds(
    Packed,
    st.integers(0, 3),
    st.lists(NUMBER, max_size=12).map(tuple),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
)


def counted(stacks: Iterable[Packed]) -> dict[tuple[int, tuple[int, ...]], tuple[int, int]]:
    samples, partial = Counter[tuple[int, tuple[int, ...]]](), Counter[tuple[int, tuple[int, ...]]]()
    for each in stacks:
        samples[each[:2]] += each.samples
        partial[each[:2]] += each.partial
    return {stack: (samples[stack], partial[stack]) for stack in samples}


@given(st.lists(st.lists(STACK, max_size=8), max_size=12))
def test_whatever_goes_in_comes_out(batches: list[list[Packed]]) -> None:
    packed = PackedStacks()
    for batch in batches:
        packed.add(batch)
    assert counted(packed) == counted(each for batch in batches for each in batch)


def test_equal_stacks_become_one_and_memory_stays() -> None:
    chance = random.Random(3)
    stacks = [Packed(0, (*range(40), chance.randrange(500)), 1, 0) for _ in range(200)]
    packed = PackedStacks()
    packed.add(stacks)
    once = packed.size_bytes()
    for _ in range(100):
        packed.add(stacks)
    assert packed.size_bytes() < 3 * once
    assert sum(each.samples for each in packed) == 101 * 200


def test_a_stack_that_begins_as_others_do_takes_a_tenth_of_what_it_took() -> None:
    chance = random.Random(5)
    roots = [tuple(chance.randrange(3000) for _ in range(35)) for _ in range(50)]
    stacks = [
        Packed(0, (*chance.choice(roots), *(chance.randrange(3000) for _ in range(5))), 1, 0)
        for _ in range(4000)
    ]
    packed = PackedStacks()
    for at in range(0, len(stacks), 500):
        packed.add(stacks[at : at + 500])
    assert packed.size_bytes() < 4000 * (300 + 8 * 40) / 10
