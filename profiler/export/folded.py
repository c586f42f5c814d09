"""Folded stacks: ``root;frame;…;frame COUNT``, one line a stack, as flame graph tools read them."""

from __future__ import annotations

from typing import BinaryIO

from profiler.export.tree import sort_stacks
from profiler.profile.model import Profile


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write UTF-8 lines in the flame graph's order; stacks of equal text are one, with the sum of counts.

    No frame holds a `;` or a line break, and the count follows a line's last space: every line parses.
    """
    stacks = sort_stacks(profile.samples)
    texts = [level.text for level in stacks.levels]
    for stack, count in stacks.sorted:
        stream.write(f"{';'.join(map(texts.__getitem__, stack))} {count}\n".encode())
