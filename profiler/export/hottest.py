"""The functions in which most of the time went: the few lines that a person wants first."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from profiler.export.text import ELLIPSIS, frame_text, program_text
from profiler.profile.model import Root, Sample
from symbolizers.frame import MARKER, NATIVE, Frame

_OFFSET = re.compile(r"\+0x[0-9a-f]+\]$")
_NO_FRAME = Frame(MARKER, "[no frames]")


class Hot(NamedTuple):
    """A function of a program, and the share (0 to 1) of all samples in which it ran itself."""

    share: float
    function: str
    program: str
    """As `program_text` says."""


def hottest(samples: Iterable[Sample], most: int) -> list[Hot]:
    """As many functions, those with most own samples first; processes of one program count together."""
    counts: Counter[tuple[bytes, Frame]] = Counter()
    roots: defaultdict[bytes, set[Root]] = defaultdict(set)
    for sample in samples:
        roots[sample.root.comm].add(sample.root)
        leaf = _without_offset(sample.frames[-1]) if sample.frames else _NO_FRAME
        counts[sample.root.comm, leaf] += sample.count
    total = counts.total()
    return [
        Hot(count / total, frame_text(leaf), program_text(roots[comm]))
        for (comm, leaf), count in counts.most_common(most)
    ]


def _without_offset(leaf: Frame) -> Frame:
    """Of a native address without a name the file alone, ``[libz.so.1]``: a function has many addresses."""
    if leaf.kind != NATIVE or leaf.file:
        return leaf
    return leaf._replace(name=_OFFSET.sub("]", leaf.name))


def hottest_lines(samples: Iterable[Sample], most: int, width: int) -> list[str]:
    """``62.1 %  fib (app.py:3)  app (4711)``, in columns; `width` is the most of a line (40 or more)."""
    found = hottest(samples, most)
    programs = [_cut(each.program, width // 3) for each in found]
    room = width - len("100.0 %    ") - max(map(len, programs), default=0)
    functions = [_cut(each.function, room) for each in found]
    column = max(map(len, functions), default=0)
    return [
        f"{100 * each.share:5.1f} %  {function:{column}}  {program}"
        for each, function, program in zip(found, functions, programs, strict=True)
    ]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 0)] + ELLIPSIS
