"""A queue in which those who wait take turns: whoever asks much delays only itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Hands out the oldest item of each lane, lane by lane (round robin)."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def put(self, lane: Hashable, item: Item) -> None:
        """Appends `item` to `lane`; a lane that was empty is the last to have its turn."""
        self._lanes.setdefault(lane, deque()).append(item)

    def take(self) -> Item:
        """Removes the oldest item of the lane whose turn it is. Raises `KeyError` when all are empty."""
        lane, items = self._lanes.popitem(last=False)
        item = items.popleft()
        if items:
            self._lanes[lane] = items
        return item
