"""Memories that stay small: the oldest goes."""

from __future__ import annotations

from collections import OrderedDict

from symbolizers.bounded import keep


def test_of_too_many_the_one_that_came_first_goes() -> None:
    kept: OrderedDict[str, int] = OrderedDict()
    for value, key in enumerate("abac"):
        keep(kept, key, value, most=2)
    assert [*kept.items()] == [("b", 1), ("c", 3)], "a value that is replaced keeps its place"
