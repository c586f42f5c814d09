"""Who called sudo: the command that is recorded runs as this user, and output files belong to them."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from profiler.errors import UsageError

_PLAIN_NUMBER = re.compile("[0-9]{1,10}")
_NO_ID = (1 << 32) - 1
"""chown(2) and setresuid(2) take it as "leave as it is"."""


class Invoker(Struct, frozen=True):
    """Numbers of a user and of their primary group; there may be no account with them."""

    uid: int
    gid: int


def invoker() -> Invoker | None:
    """The user in sudo's SUDO_UID and SUDO_GID; None if we are not root, or neither is set.

    Raises `UsageError` if they are set to anything but two ids: to go on as root would be a guess.
    """
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid or gid):
        return None
    for name, text in (("SUDO_UID", uid), ("SUDO_GID", gid)):
        if not _PLAIN_NUMBER.fullmatch(text) or int(text) >= _NO_ID:
            raise UsageError(f"{name}={text} is not an id: unset SUDO_UID and SUDO_GID, or run it with sudo")
    return Invoker(int(uid), int(gid))


def trusted_users() -> frozenset[int]:
    """Ids of the users from whom nothing needs to be protected here: root, us and who called sudo."""
    who = invoker()
    return frozenset((0, os.geteuid(), *([who.uid] if who is not None else [])))
