"""A real Ruby program, recorded by pidflame and sampled from inside by StackProf in the same run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from math import sqrt
from pathlib import Path

from tests.interpreters.check_ruby_recording import names
from tests.interpreters.enter_root import PROGRAMS
from tests.support.live.harness import record

HZ = 250
"""The rate that StackProf reaches: its timer ticks with the kernel's."""
HOTTEST = 10
SIGMAS = 3.5


BLOCK = re.compile(r"(?:block (?:\(\d+ levels\) )?|rescue |ensure )in ")
"""The words before a method in the label of a part of it. StackProf leaves them out for some."""


def by_method(counts: Mapping[str, int]) -> Counter[str]:
    """`counts`, in which the parts of a method count for the method."""
    found: Counter[str] = Counter()
    for name, count in counts.items():
        found[BLOCK.sub("", name)] += count
    return found


def noise(first: int, second: int) -> float:
    """How far two counts of the same thing may be apart."""
    return SIGMAS * sqrt(first + second)


def test_the_hottest_methods_are_those_seen_from_inside(tmp_path: Path) -> None:
    said = tmp_path / "inside.json"
    recorded = record(
        tmp_path, "-F", str(HZ), command=["/usr/bin/ruby", str(PROGRAMS / "rdoc_job.rb"), str(said)]
    )
    recorded.accounted()
    inside = by_method(json.loads(said.read_text()))
    outside: Counter[str] = Counter()
    for stack, count in recorded.stacks.items():
        found = names(stack)
        if "Object#document" in found:
            outside[found[-1]] += count
    outside = by_method(outside)
    hottest = [name for name, _ in inside.most_common(HOTTEST)]
    seen = {name: (inside[name], outside[name]) for name in hottest}
    assert inside.total() > 1000
    assert abs(outside.total() - inside.total()) < noise(inside.total(), outside.total()), seen
    differing = {name: pair for name, pair in seen.items() if abs(pair[0] - pair[1]) >= noise(*pair)}
    assert not differing
    for first, second in combinations(hottest, 2):
        if inside[first] - inside[second] > noise(inside[first], inside[second]):
            assert outside[first] > outside[second], (first, second, seen)
