"""Reads the data of a page back, as the docstring of `profiler.export.html_columns` describes it."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

DATA = re.compile(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>')


class PageData:
    """The head's tables and the columns of a page, which is given as text."""

    def __init__(self, text: str) -> None:
        found = DATA.search(text)
        assert found
        data = gzip.decompress(b64decode(found[1], validate=True))
        size = int.from_bytes(data[:4], "little")
        self.head: dict[str, Any] = json.loads(data[4 : 4 + size])
        self.columns: dict[str, list[int]] = {}
        at = 4 + size
        for name, width, length in self.head["columns"]:
            planes = [data[at + plane * length : at + (plane + 1) * length] for plane in range(width)]
            self.columns[name] = [int.from_bytes(number, "little") for number in zip(*planes, strict=True)]
            at += width * length
        assert at == len(data)

    def stacks(self) -> list[tuple[str, ...]]:
        """The texts of every stack's frames, root first."""
        frames = iter(self.columns["stackFrames"])
        stacks: list[tuple[str, ...]] = []
        for shared, more in zip(self.columns["stackShared"], self.columns["stackMore"], strict=True):
            before = stacks[-1][:shared] if shared else ()
            stacks.append((*before, *(self.head["frames"][next(frames)] for _ in range(more))))
        assert next(frames, None) is None
        return stacks

    def counts(self) -> Counter[tuple[str, ...]]:
        """Samples by process, thread (unless it is empty) and frames, all as texts."""
        counts: Counter[tuple[str, ...]] = Counter()
        for process, thread, stack, count in self.lanes():
            counts[(process, *([thread] if thread else []), *stack)] += count
        return counts

    def lanes(self) -> Iterator[tuple[str, str, tuple[str, ...], int]]:
        """Process, thread (empty if it is not told), stack and number of samples of each row."""
        stacks = self.stacks()
        for unit, stack, count in self._rows("rowUnit", "rowStack", "rowCount"):
            process = self.head["processes"][self.columns["unitProcess"][unit]]["text"]
            yield process, self.head["threads"][self.columns["unitThread"][unit]], stacks[stack], count

    def times(self) -> list[tuple[int, ...]]:
        """The times (ms) of each row."""
        distances = iter(self.columns["times"])
        times = [tuple(accumulate(next(distances) for _ in range(n))) for n in self.columns["rowTimes"]]
        assert next(distances, None) is None
        return times

    def _rows(self, *names: str) -> zip[tuple[int, ...]]:
        return zip(*(self.columns[name] for name in names), strict=True)
