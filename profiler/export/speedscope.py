"""speedscope's JSON: a profile for each thread, or process, and one of all of them before these.

A frame has a name, a file and a line; what kind of code it is can be told by its name alone (``_[k]``).
Weights are CPU time in milliseconds. https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, BinaryIO

from profiler.export.tables import Lane, Table, is_timed, lanes
from profiler.export.text import (
    file_text,
    line_number,
    losses_text,
    marked_name,
    root_text,
    thread_text,
    title_text,
)
from profiler.profile.model import Profile
from symbolizers.frame import MARKER, Frame

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
MOST_LISTED = 3_000_000
"""The most frames in stacks that are listed in order of time. Beyond, each distinct stack is listed once: the
page reads no file of hundreds of megabytes."""

Shown = tuple[str, str, int]
Stacks = list[tuple[str, int]]
"""The numbers of the frames of each, root first, with commas between; and how many samples show it."""


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write one JSON document, in ASCII."""
    frames: Table[Frame, Shown, str] = Table(_shown, str)
    found = lanes(profile)
    in_order = _fits_in_order(profile)
    parts = [(lane.text, _stacks(lane, frames, in_order=in_order)) for lane in found]
    if len(parts) > 1:
        whole = [_on_bottom(lane, stacks, frames) for lane, (_, stacks) in zip(found, parts, strict=True)]
        parts.insert(0, (title_text(profile), [stack for each in whole for stack in each]))
    head = {
        "$schema": SCHEMA,
        "exporter": "pidflame",
        "name": f"{title_text(profile)} · {losses_text(profile.losses)}",
        "activeProfileIndex": 0,
        "shared": {"frames": [_row(*shown) for shown in frames.rows]},
    }
    stream.write(f'{json.dumps(head)[:-1]}, "profiles": ['.encode())
    for index, (name, stacks) in enumerate(parts or [(title_text(profile), [])]):
        stream.write(b"," * (index > 0))
        for text in _profile(name, stacks, profile.frequency_hz):
            stream.write(text.encode())
    stream.write(b"]}\n")


def _shown(frame: Frame) -> Shown:
    return marked_name(frame), file_text(frame), line_number(frame)


def _row(name: str, file: str, line: int) -> Mapping[str, Any]:
    return {"name": name, **({"file": file} if file else {}), **({"line": line} if line else {})}


def _fits_in_order(profile: Profile) -> bool:
    listed = sum(sample.count * (1 + len(sample.frames)) for sample in profile.samples)
    return listed <= MOST_LISTED and all(map(is_timed, profile.samples))


def _stacks(lane: Lane, frames: Table[Frame, Shown, str], *, in_order: bool) -> Stacks:
    """In order of time, equal neighbours as one; or each distinct one, with those of one caller together.

    A stack without a frame would not be counted: it is the process.
    """
    empty = (_bottom(root_text(lane.root)),)
    texts = [",".join(map(frames.__getitem__, sample.frames or empty)) for sample in lane.samples]
    if not in_order:
        return _distinct(zip(texts, (sample.count for sample in lane.samples), strict=True))
    moments = sorted(
        (time, text) for sample, text in zip(lane.samples, texts, strict=True) for time in sample.times_ms
    )
    return [(text, len(list(run))) for text, run in groupby(text for _, text in moments)]


def _distinct(stacks: Iterable[tuple[str, int]]) -> Stacks:
    counts: Counter[str] = Counter()
    for text, count in stacks:
        counts[text] += count
    return sorted(counts.items())


def _on_bottom(lane: Lane, stacks: Stacks, frames: Table[Frame, Shown, str]) -> Stacks:
    """Each distinct stack of the lane, on its process and thread."""
    levels = [root_text(lane.root), *([thread_text(lane.thread)] if lane.thread else [])]
    bottoms = [frames[_bottom(text)] for text in levels]
    below = ",".join(bottoms)
    return [(below if text == bottoms[0] else f"{below},{text}", count) for text, count in _distinct(stacks)]


def _bottom(text: str) -> Frame:
    """A process or a thread in the place of a frame."""
    return Frame(MARKER, text)


def _profile(name: str, stacks: Stacks, frequency_hz: int) -> Iterator[str]:
    total = _milliseconds(sum(count for _, count in stacks), frequency_hz)
    head = {"type": "sampled", "name": name, "unit": "milliseconds", "startValue": 0, "endValue": total}
    yield f'{json.dumps(head)[:-1]}, "samples": ['
    if stacks:
        yield f"[{'],['.join(text for text, _ in stacks)}]"
    yield '], "weights": ['
    yield ",".join(str(_milliseconds(count, frequency_hz)) for _, count in stacks)
    yield "]}"


def _milliseconds(count: int, frequency_hz: int) -> int | float:
    """The CPU time of so many samples; whole numbers as such, since most are."""
    whole, rest = divmod(count * 1000, frequency_hz)
    return count * 1000 / frequency_hz if rest else whole
