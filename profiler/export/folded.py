"""Folded stacks: ``root;frame;…;frame COUNT``, one line a stack, as flame graph tools read them."""

from __future__ import annotations

from typing import BinaryIO

from profiler.export.tree import sort_stacks
from profiler.profile.model import Profile

_LINES = 256
"""Written at once."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write UTF-8 lines in the flame graph's order; stacks of equal text are one, with the sum of counts.

    No frame holds a `;` or a line break, and the count follows a line's last space: every line parses.
    """
    stacks = sort_stacks(profile.samples)
    texts = [level.text.encode() for level in stacks.levels]
    for at in range(0, len(stacks.sorted), _LINES):
        lines = [
            b"%b %d\n" % (b";".join(map(texts.__getitem__, stack)), count)
            for stack, count in stacks.sorted[at : at + _LINES]
        ]
        stream.write(b"".join(lines))
