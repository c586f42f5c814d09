"""A queue in which those who wait take turns: whoever asks much delays only itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Hands out the oldest item of each lane: users take turns, and so do the lanes of each (round robin)."""

    def __init__(self) -> None:
        self._users: OrderedDict[int, OrderedDict[Hashable, deque[Item]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._users)

    def put(self, user: int, lane: Hashable, item: Item) -> None:
        """Appends `item` to a `lane` of `user` (a uid); one that was empty is the last to have its turn."""
        self._users.setdefault(user, OrderedDict()).setdefault(lane, deque()).append(item)

    def remove(self, lane: Hashable) -> list[Item]:
        """Removes the items of a `lane`, whichever user's, oldest first."""
        removed: list[Item] = []
        for user, lanes in [*self._users.items()]:
            removed += lanes.pop(lane, ())
            if not lanes:
                del self._users[user]
        return removed

    def take(self) -> Item:
        """Removes the oldest item of the lane whose turn it is. Raises `KeyError` when all are empty."""
        user, lanes = self._users.popitem(last=False)
        lane, items = lanes.popitem(last=False)
        item = items.popleft()
        if items:
            lanes[lane] = items
        if lanes:
            self._users[user] = lanes
        return item
