"""Samples whose stacks can be followed once an unwind table is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

from profiler.capture.records import RawSample
from profiler.run.assembly import size_of
from profiler.run.copied_walk import CopiedWalk
from symbolizers.inspection import FileKey

MOST_BYTES = 8 << 20
_WALK_BYTES = 1000
"""What one takes besides the sample and its copy."""


class Held(NamedTuple):
    """A sample of process `pid` of `user` that waits; `then` takes it on, with what was found by then."""

    walk: CopiedWalk
    pid: int
    user: int
    then: Callable[[RawSample], None]

    def size_bytes(self) -> int:
        """What it takes."""
        return _WALK_BYTES + size_of(self.walk.sample) + self.walk.size_bytes()


class HeldSamples:
    """Those of one recording, `MOST_BYTES` of them, by the file whose table they wait for."""

    def __init__(self) -> None:
        self._by_file: dict[FileKey, list[Held]] = {}
        self._bytes: dict[int, int] = {}
        """By user."""

    def users(self) -> Iterator[int]:
        """Those whose samples wait."""
        return (user for user, held in self._bytes.items() if held)

    def hold(self, file: FileKey, held: Held) -> bool:
        """Lets it wait for the table of `file`, if there is room; others may be let go of for it.

        Those are of the user who holds most, so that nobody can take the room of all.
        """
        size = held.size_bytes()
        while sum(self._bytes.values()) + size > MOST_BYTES:
            largest, most = max(self._bytes.items(), key=itemgetter(1), default=(held.user, 0))
            if self._bytes.get(held.user, 0) + size >= most:
                return False
            self._let_go(largest)
        self._by_file.setdefault(file, []).append(held)
        self._bytes[held.user] = self._bytes.get(held.user, 0) + size
        return True

    def take(self, file: FileKey) -> list[Held]:
        """Those that waited for this file."""
        taken = self._by_file.pop(file, [])
        for each in taken:
            self._forget(each)
        return taken

    def take_all(self) -> list[Held]:
        """All that still wait."""
        return [held for file in tuple(self._by_file) for held in self.take(file)]

    def _let_go(self, user: int) -> None:
        """Hands on one of this user's."""
        for waiting in self._by_file.values():
            for at, held in enumerate(waiting):
                if held.user == user:
                    del waiting[at]
                    self._forget(held)
                    held.then(held.walk.result())
                    return

    def _forget(self, held: Held) -> None:
        self._bytes[held.user] -= held.size_bytes()
        if not self._bytes[held.user]:
            del self._bytes[held.user]
