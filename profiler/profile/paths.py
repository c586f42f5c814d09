"""Shorter file names for Python and Ruby frames: without what comes before the import root.

Text alone decides: the files may be in a container, or gone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from profiler.profile.model import Sample
from symbolizers.frame import Frame, FrameKind

_IMPORT_ROOT = re.compile(
    r"""
    (?:.*/)?                                    # greedy: of several roots the last
    (?: (?:site|dist)-packages
      | lib(?:64)?/python\d+\.\d+t?             # a standard library, t: of a free-threaded build
      | [^/]+\.(?:zip|egg|pyz)                  # imported from an archive
      | gems/[^/]+/lib
      | ruby/\d+\.\d+\.\d+
      | (?:vendor|site)_ruby(?:/\d+\.\d+\.\d+)?
    )
    /+([^/].*)
    """,
    re.VERBOSE | re.DOTALL,
)
_NO_FILE = ("<", "(")
"""What the names of files begin with that are none: ``<frozen os>``, ``<internal:gc>``, ``(eval at …)``."""
_INTERPRETED = (FrameKind.PYTHON, FrameKind.RUBY)


def short_file(file: str) -> str:
    """`file` from its import root on: ``/usr/lib/python3.11/json/decoder.py`` is ``json/decoder.py``.

    Elsewhere, the last two components of an absolute path. What is no file's name stays.
    """
    if file.startswith(_NO_FILE):
        return file
    if match := _IMPORT_ROOT.fullmatch(file):
        return match[1]
    parts = file.split("/")
    return "/".join(parts[-2:]) if file.startswith("/") and len(parts) > 3 else file


def with_short_files(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """`samples` with the files of Python and Ruby frames shortened; as many samples, none merged.

    Two files of one process that would be called the same keep their full names both, so that no two
    functions are counted as one. Between processes the same short name may stand for two files: the
    process is in the stack too, and the same program looks the same from every virtual environment.
    """
    samples = tuple(samples)
    files = {
        (sample.root.pid, frame.file)
        for sample in samples
        for frame in sample.frames
        if frame.kind in _INTERPRETED
    }
    called: dict[tuple[int, str], list[str]] = defaultdict(list)
    for pid, file in files:
        called[pid, short_file(file)].append(file)

    @cache
    def shown(pid: int, frame: Frame) -> Frame:
        if frame.kind not in _INTERPRETED:
            return frame
        short = short_file(frame.file)
        return frame._replace(file=short) if len(called[pid, short]) == 1 else frame

    return tuple(
        replace(sample, frames=tuple(shown(sample.root.pid, frame) for frame in sample.frames))
        for sample in samples
    )
