"""Those who wait take turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.process.fair import FairQueue


def test_lanes_take_turns_and_each_hands_out_its_oldest() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.put(0, item[0], item)
    taken = [queue.take() for _ in range(4)]
    queue.put(0, "d", "d1")
    assert taken + [queue.take() for _ in range(3)] == ["a1", "b1", "c1", "a2", "b2", "a3", "d1"]
    assert not queue
    with pytest.raises(KeyError):
        queue.take()


def test_a_lane_can_be_taken_out_whichever_user_it_is_of() -> None:
    queue: FairQueue[str] = FairQueue()
    for user, item in ((0, "a1"), (0, "b1"), (1, "a2"), (0, "a3")):
        queue.put(user, item[0], item)
    assert queue.remove("a") == ["a1", "a3", "a2"]
    assert queue.remove("a") == []
    assert queue.take() == "b1"
    assert not queue


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans())))
def test_nothing_is_lost_and_a_lane_stays_in_order(steps: list[tuple[int, bool]]) -> None:
    queue: FairQueue[tuple[int, int]] = FairQueue()
    put: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    for number, (lane, take) in enumerate(steps):
        if take and queue:
            taken.append(queue.take())
        else:
            queue.put(lane % 2, lane, (lane, number))
            put.append((lane, number))
    while queue:
        taken.append(queue.take())
    assert sorted(taken) == sorted(put)
    for lane in range(4):
        assert [item for item in taken if item[0] == lane] == [item for item in put if item[0] == lane]


@given(st.integers(1, 50), st.integers(1, 5))
def test_one_who_asks_much_does_not_delay_the_others(many: int, others: int) -> None:
    queue: FairQueue[int] = FairQueue()
    for _ in range(many):
        queue.put(0, "greedy", 0)
    for other in range(1, others + 1):
        queue.put(0, other, other)
    first = [queue.take() for _ in range(others + 1)]
    assert set(first) == set(range(others + 1))


@given(st.integers(1, 50), st.integers(1, 5))
def test_a_user_of_many_processes_does_not_delay_the_other_users(many: int, others: int) -> None:
    queue: FairQueue[int] = FairQueue()
    for lane in range(many):
        queue.put(1000, lane, 0)
    for other in range(1, others + 1):
        queue.put(other, "only", other)
    first = [queue.take() for _ in range(others + 1)]
    assert set(first) == set(range(others + 1))
