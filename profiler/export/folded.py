"""Folded stacks: ``root;frame;…;frame COUNT``, one line a stack, as flame graph tools read them."""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO

from profiler.export.text import frame_text, root_text, thread_text
from profiler.profile.model import Profile


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write sorted UTF-8 lines; stacks with equal text are one line with the sum of their counts.

    No frame holds a `;` or a line break, and the count follows a line's last space: every line parses.
    """
    counts: Counter[str] = Counter()
    for sample in profile.samples:
        roots = (root_text(sample.root), *([thread_text(sample.thread)] if sample.thread else []))
        stack = ";".join((*roots, *map(frame_text, sample.frames)))
        counts[stack] += sample.count
    stream.writelines(f"{stack} {counts[stack]}\n".encode() for stack in sorted(counts))
