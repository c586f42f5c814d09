"""Shorter file names for interpreted and generated frames: without what comes before the import root.

Text alone decides: the files may be in a container, or gone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from profiler.profile.frames import distinct, with_frames
from profiler.profile.model import Sample
from symbolizers.frame import GENERATED, Frame
from symbolizers.registry import LANGUAGES

_IMPORT_ROOTS = {language.name: language.import_roots for language in LANGUAGES} | {
    GENERATED: ("node_modules",)
}
_PSEUDO_FILES = {language.name: language.pseudo_files for language in LANGUAGES} | {GENERATED: ("node:",)}


@cache
def _import_root(kind: str) -> re.Pattern[str]:
    """Matches the file of a language that lies in an import root; the group is what comes after the root."""
    roots = "|".join(_IMPORT_ROOTS[kind]) or "(?!)"
    # Greedy: of several roots the last.
    return re.compile(rf"(?:.*/)?(?:{roots})/+([^/].*)", re.DOTALL)


def short_file(kind: str, file: str) -> str:
    """The `file` from its import root on: ``/usr/lib/python3.11/json/decoder.py`` is ``json/decoder.py``.

    `kind`, that of the frame, is a language or `GENERATED`. Elsewhere, the last two components of an absolute
    path. The name of a pseudo file stays.
    """
    if file.startswith(_PSEUDO_FILES[kind]):
        return file
    if match := _import_root(kind).fullmatch(file):
        return match[1]
    parts = file.split("/")
    return "/".join(parts[-2:]) if file.startswith("/") and len(parts) > 3 else file


def with_short_files(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """`samples` with the files of interpreted frames shortened; as many samples, none merged.

    Two files of one process that would get the same short name keep their full names, so that no two
    functions are counted as one. Between processes the same short name may stand for two files: the
    process is in the stack too, and the same program looks the same from every virtual environment.
    """
    samples = tuple(samples)
    frames = distinct(samples)
    shown = {at: _shortened(frame) for at, frame in frames.items()}
    files: dict[str, set[str]] = defaultdict(set)
    for at, frame in frames.items():
        files[shown[at].file].add(frame.file)
    unclear = {at for at in frames if len(files[shown[at].file]) > 1}
    return tuple(_with_clear_files(samples, frames, shown, unclear))


def _with_clear_files(
    samples: Iterable[Sample], frames: Mapping[int, Frame], shown: dict[int, Frame], unclear: set[int]
) -> Iterator[Sample]:
    """`samples` with their frames as `shown`, unless an `unclear` one is of two files in its process."""
    own: dict[int, set[int]] = defaultdict(set)
    """By pid, those of the unclear ones that it has."""
    for sample in samples if unclear else ():
        own[sample.root.pid].update(unclear.intersection(map(id, sample.frames)))
    shown_in = {}
    for pid, ids in own.items():
        files: dict[str, set[str]] = defaultdict(set)
        for at in ids:
            files[shown[at].file].add(frames[at].file)
        kept = {at: frames[at] for at in ids if len(files[shown[at].file]) > 1}
        shown_in[pid] = {**shown, **kept} if kept else shown
    for sample in samples:
        yield with_frames(sample, shown_in.get(sample.root.pid, shown))


def _shortened(frame: Frame) -> Frame:
    if frame.kind not in _IMPORT_ROOTS or not frame.file:
        return frame
    return frame._replace(file=short_file(frame.kind, frame.file))
