"""A real Ruby program, recorded by pidflame and sampled from inside by StackProf in the same run."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from math import sqrt
from pathlib import Path

from tests.interpreters.check_ruby_recording import names
from tests.interpreters.enter_root import PROGRAMS
from tests.live.harness import record

HZ = 250
"""What StackProf comes to: its timer ticks with the kernel's."""
HOTTEST = 10
SIGMAS = 3.5


def noise(first: int, second: int) -> float:
    """How far two counts of the same thing may be apart."""
    return SIGMAS * sqrt(first + second)


def test_the_hottest_methods_are_those_seen_from_inside(tmp_path: Path) -> None:
    said = tmp_path / "inside.json"
    recorded = record(
        tmp_path, "-F", str(HZ), command=["/usr/bin/ruby", str(PROGRAMS / "rdoc_job.rb"), str(said)]
    )
    recorded.accounted()
    inside = Counter(json.loads(said.read_text()))
    outside: Counter[str] = Counter()
    for stack, count in recorded.stacks.items():
        found = names(stack)
        if "Object#document" in found:
            outside[found[-1]] += count
    hottest = [name for name, _ in inside.most_common(HOTTEST)]
    seen = {name: (inside[name], outside[name]) for name in hottest}
    assert inside.total() > 1000
    assert abs(outside.total() - inside.total()) < noise(inside.total(), outside.total()), seen
    assert all(abs(ours - theirs) < noise(ours, theirs) for theirs, ours in seen.values()), seen
    for first, second in combinations(hottest, 2):
        if inside[first] - inside[second] > noise(inside[first], inside[second]):
            assert outside[first] > outside[second], (first, second, seen)
