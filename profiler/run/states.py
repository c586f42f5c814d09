"""How a program moves from one state to another: every step that there is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class State(Enum):
    """How much is known about a program, and whether the worker may still be asked about it."""

    NEW = "new"
    """The worker was not asked about it yet; its first sample will do so."""
    LOOKING = "looking"
    """The worker looks at it for the first time; samples wait for that."""
    KNOWN = "known"
    """Its mappings and interpreters are known."""
    LOOKING_AGAIN = "looking again"
    """As KNOWN, but the worker looks once more: a sample shows that something has changed."""
    EXITED = "exited"
    """Its process has exited: nothing more is asked about it, but answers under way still count."""
    OVER = "over"
    """Nothing more will be learnt about it; `Program.why` says why."""


class Happening(Enum):
    """An event that moves a program from one state to another."""

    LOOK = "the worker is asked to look at it"
    FOUND = "mappings and interpreters were found"
    EXIT = "its process has exited"
    END = "it was replaced, or can't be looked into, or all answers have come"


ALIVE = (State.NEW, State.LOOKING, State.KNOWN, State.LOOKING_AGAIN)

TRANSITIONS: Mapping[tuple[State, Happening], State] = MappingProxyType(
    {
        (State.NEW, Happening.LOOK): State.LOOKING,
        (State.KNOWN, Happening.LOOK): State.LOOKING_AGAIN,
        # At the start of a recording the worker looks at all that runs; a fork knows what its parent knew.
        (State.NEW, Happening.FOUND): State.KNOWN,
        (State.LOOKING, Happening.FOUND): State.KNOWN,
        (State.LOOKING_AGAIN, Happening.FOUND): State.KNOWN,
        (State.EXITED, Happening.FOUND): State.EXITED,
        **{(state, Happening.EXIT): State.EXITED for state in ALIVE},
        **{(state, Happening.END): State.OVER for state in (*ALIVE, State.EXITED)},
    }
)
"""Every step that a program can take. Any other can't happen, or changes nothing."""
