"""Runs the profiler before others: otherwise it would start late on a busy machine and find memory gone."""

from __future__ import annotations

import os
from contextlib import suppress

from symbolizers.process.autogroup import OURS, began_with_us, session_priority, set_session_priority

_FIRST = -20
"""Beside 20 busy processes on two CPUs the first sample came after 8 s at 0, after 1.2 s at -10."""

_usual = os.getpriority(os.PRIO_PROCESS, 0)
_usual_of_session: list[int] = []
"""Of a session that was raised."""


def raise_priority() -> None:
    """Raises it for this process and those it starts; does nothing where that is not allowed."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)


def raise_session() -> None:
    """Raises that of the session, too, until `restore_session`, if it began with us.

    What else is in it goes first as well; so it is for the start alone.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) == _FIRST and began_with_us():
        _usual_of_session.append(session_priority(OURS))
        set_session_priority(OURS, _FIRST)


def restore_session() -> None:
    """Undoes `raise_session`. To be called while the process has all its rights; safe to call twice."""
    while _usual_of_session:
        set_session_priority(OURS, _usual_of_session.pop())


def restore_priority() -> None:
    """Restores what this process had at its start, for a command that is recorded."""
    os.setpriority(os.PRIO_PROCESS, 0, _usual)
