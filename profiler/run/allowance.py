"""How many bytes a process may make us hold, and a user with all of its processes. Pure.

Bytes are estimates of what CPython takes for the values; they are charged where something is kept, and given
back where it is let go of.
"""

from __future__ import annotations

from collections.abc import Collection

TRUSTED_BYTES = 1 << 30
USER_BYTES = 32 << 20
PROCESS_SHARE = 4
"""One process may hold a quarter of what its user may."""
_MOST_USERS = 4096


class Allowance:
    """The bytes that one owner may hold, out of those that a larger one may. Lifetime: the owner."""

    __slots__ = ("_left", "above", "used")

    def __init__(self, most_bytes: int, above: Allowance | None = None) -> None:
        self._left = most_bytes
        self.above = above
        self.used = 0

    def take(self, size_bytes: int) -> bool:
        """Whether so much more may be held; it counts as held from now on."""
        if size_bytes > self._left or (self.above is not None and not self.above.take(size_bytes)):
            return False
        self._left -= size_bytes
        self.used += size_bytes
        return True

    def is_ample(self) -> bool:
        """Whether more is left than is held, here and above."""
        return self.used < self._left and (self.above is None or self.above.is_ample())

    def give_back(self, size_bytes: int) -> None:
        """So much is held no longer."""
        self._left += size_bytes
        self.used -= size_bytes
        if self.above is not None:
            self.above.give_back(size_bytes)

    def give_all_back(self) -> None:
        """Nothing is held any more."""
        self.give_back(self.used)


class Allowances:
    """Those of a recording. `trusted`: the users (uids) whose processes nobody needs to be protected from.

    These are root and whoever records: what they let run is theirs to see.
    """

    def __init__(self, trusted: Collection[int] = (0,)) -> None:
        self._trusted = frozenset(trusted)
        self._users: dict[int, Allowance] = {}

    def is_trusted(self, user: int) -> bool:
        """Whether the user is one of those who are trusted."""
        return user in self._trusted

    def of_process(self, user: int) -> Allowance:
        """A new process of `user`."""
        if user not in self._users:
            self._forget_idle()
            self._users[user] = Allowance(self._most(user))
        return Allowance(self._most(user) // PROCESS_SHARE, self._users[user])

    def _most(self, user: int) -> int:
        return TRUSTED_BYTES if self.is_trusted(user) else USER_BYTES

    def _forget_idle(self) -> None:
        """A user who holds nothing can be forgotten: its processes still count, each with its own."""
        if len(self._users) >= _MOST_USERS:
            self._users = {user: each for user, each in self._users.items() if each.used}
