"""Where frames are, for the formats that can say it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from symbolizers.frame import Frame


class Place(NamedTuple):
    """What is known of where a frame is, beside its file and the line that it shows; else 0 or empty."""

    first_line: int = 0
    """The line where its function begins."""
    address: int = 0
    """An instruction of the function: the offset in the file, or the address without a file."""
    build_id: str = ""
    """That of the file, in hexadecimal."""


NOWHERE = Place()


def by_frame(places: Iterable[tuple[Frame, Place]]) -> dict[Frame, Place]:
    """The first place of each frame; without the line where it begins if others begin elsewhere."""
    found: dict[Frame, Place] = {}
    for frame, place in places:
        first = found.setdefault(frame, place)
        if first.first_line != place.first_line:
            found[frame] = first._replace(first_line=0)
    return found
