"""Work of an interpreter that no function of its language does: garbage collection has a frame of its own.

Its C functions are hidden by default, and what they take would be seen nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final, TypeVar

from symbolizers.frame import MARKER, NATIVE, Frame
from symbolizers.registry import WORK

_MARKERS: Final = {name: Frame(MARKER, text) for name, text in WORK.items()}
MARKERS: Final = frozenset(_MARKERS.values())

_T = TypeVar("_T")


def marker_of(frame: Frame) -> Frame | None:
    """What the C function of `frame` shows as, if it is one that does such work.

    The compiler may have put ``.lto_priv.0`` or ``.isra.0`` behind its name.
    """
    if frame.kind != NATIVE:
        return None
    name = frame.name.partition(".")[0]
    return _MARKERS.get(name) or _MARKERS.get(f"{name} ({frame.file})")


def once(stack: Sequence[_T], markers: Collection[_T]) -> Sequence[_T]:
    """`stack` with one of several equal `markers` that follow each other: functions that call each other."""
    if not any(each in markers for each in stack):
        return stack
    return (*stack[:1], *(each for last, each in pairwise(stack) if each != last or each not in markers))
