"""The boxes of a flame graph against a tree that is built the plain way, and where they would be millions."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from profiler.export.tree import TOTAL, lay_out, sort_stacks
from profiler.profile.model import Root, Sample
from symbolizers.frame import Frame

NAMES = st.sampled_from("abc")
SAMPLES = st.builds(
    lambda pid, names, count: Sample(
        Root(b"app", pid), tuple(Frame("python", each) for each in names), count
    ),
    st.integers(1, 3),
    st.lists(NAMES, max_size=5),
    st.integers(1, 9),
)


@given(st.lists(SAMPLES, max_size=12))
def test_boxes_are_those_of_the_tree(samples: list[Sample]) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    own: Counter[tuple[str, ...]] = Counter()
    for sample in samples:
        path = (TOTAL, f"app ({sample.root.pid})", *(frame.name for frame in sample.frames))
        own[path] += sample.count
        for length in range(1, len(path) + 1):
            counts[path[:length]] += sample.count
    boxes, left_out = lay_out(sort_stacks(samples), 0.0)
    assert left_out == 0
    path = ()
    found = {}
    ends: list[int] = []
    for box in boxes:
        path = (*path[: box.depth], box.text)
        assert path not in found
        found[path] = (box.count, box.self_count)
        del ends[box.depth :]
        assert not ends or box.start + box.count <= ends[-1]
        ends.append(box.start + box.count)
    assert found == {path: (count, own[path]) for path, count in counts.items()}


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.integers(1, 30))
def test_the_narrowest_and_deepest_are_left_out(samples: list[Sample], most: int) -> None:
    every, _ = lay_out(sort_stacks(samples), 0.0)
    kept, left_out = lay_out(sort_stacks(samples), 0.0, most)
    assert len(kept) <= most
    assert len(kept) + left_out == len(every)
    assert set(kept) <= set(every)
    dropped = set(every) - set(kept)
    if kept and dropped:
        last = max((-box.count, box.depth) for box in kept)
        assert last < min((-box.count, box.depth) for box in dropped)


MANY = """
import random, resource, sys
from io import BytesIO
from profiler.export import folded, svg
from profiler.profile.model import Losses, Profile, Root, Sample
from symbolizers.frame import Frame
chance = random.Random(1)
frames = [Frame("python", f"function_{number}", "app.py", 1) for number in range(990)]
samples = tuple(Sample(Root(b"app", 7), tuple(chance.sample(frames, 990)), 1) for _ in range(1000))
profile = Profile(samples, Losses(1000, 1000, {}, 0), "host", "now", 10.0, 20, 2)
class Counting(BytesIO):
    size = 0
    def write(self, data):
        Counting.size += len(data)
        return len(data)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folded.write(profile, Counting())
svg.write(profile, pictured := Counting())
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
Counting.size = 0
svg.write(profile, Counting())
print(Counting.size)
"""


def test_a_million_frames_in_new_orders_take_little_memory() -> None:
    said = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True).stdout
    before, after, size = map(int, said.split())
    assert (after - before) << 10 < 60 << 20
    assert size < 30 << 20
