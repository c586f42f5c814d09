"""Shorter file names for interpreted frames: without what comes before the import root.

Text alone decides: the files may be in a container, or gone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from profiler.profile.model import Sample
from symbolizers.frame import Frame
from symbolizers.registry import LANGUAGES

_LANGUAGES = {language.name: language for language in LANGUAGES}


@cache
def _import_root(language: str) -> re.Pattern[str]:
    """Matches the file of a language that lies in an import root; the group is what comes after the root."""
    roots = "|".join(_LANGUAGES[language].import_roots) or "(?!)"
    # Greedy: of several roots the last.
    return re.compile(rf"(?:.*/)?(?:{roots})/+([^/].*)", re.DOTALL)


def short_file(language: str, file: str) -> str:
    """`file` from its import root on: ``/usr/lib/python3.11/json/decoder.py`` is ``json/decoder.py``.

    Elsewhere, the last two components of an absolute path. The name of a pseudo file stays.
    """
    if file.startswith(_LANGUAGES[language].pseudo_files):
        return file
    if match := _import_root(language).fullmatch(file):
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
    files = {
        (sample.root.pid, frame.kind, frame.file)
        for sample in samples
        for frame in sample.frames
        if frame.kind in _LANGUAGES
    }
    called: dict[tuple[int, str], set[str]] = defaultdict(set)
    for pid, language, file in files:
        called[pid, short_file(language, file)].add(file)

    @cache
    def shown(pid: int, frame: Frame) -> Frame:
        if frame.kind not in _LANGUAGES:
            return frame
        short = short_file(frame.kind, frame.file)
        return frame._replace(file=short) if len(called[pid, short]) == 1 else frame

    return tuple(
        replace(sample, frames=tuple(shown(sample.root.pid, frame) for frame in sample.frames))
        for sample in samples
    )
