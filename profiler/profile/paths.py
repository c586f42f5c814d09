"""Shorter names for source files: without what comes before the import root.

Text alone decides: the files may be in a container, or gone.
"""

from __future__ import annotations

import re
from functools import cache

from symbolizers.frame import GENERATED, INLINED, NATIVE, Frame
from symbolizers.registry import LANGUAGES

_IMPORT_ROOTS = {language.name: language.import_roots for language in LANGUAGES} | {
    GENERATED: ("node_modules",),
    NATIVE: (),
    INLINED: (),
}
_PSEUDO_FILES = {language.name: language.pseudo_files for language in LANGUAGES} | {
    GENERATED: ("node:",),
    NATIVE: (),
    INLINED: (),
}


@cache
def _import_root(kind: str) -> re.Pattern[str]:
    """Matches the file of a language that lies in an import root; the group is what comes after the root."""
    roots = "|".join(_IMPORT_ROOTS[kind]) or "(?!)"
    # Greedy: of several roots the last.
    return re.compile(rf"(?:.*/)?(?:{roots})/+([^/].*)", re.DOTALL)


def short_file(kind: str, file: str) -> str:
    """The `file` from its import root on: ``/usr/lib/python3.11/json/decoder.py`` is ``json/decoder.py``.

    `kind`, that of the frame, is one that has source files. Elsewhere, the last two components of an absolute
    path. The name of a pseudo file stays.
    """
    if file.startswith(_PSEUDO_FILES[kind]):
        return file
    if match := _import_root(kind).fullmatch(file):
        return match[1]
    parts = file.split("/")
    return "/".join(parts[-2:]) if file.startswith("/") and len(parts) > 3 else file


def short_file_frame(frame: Frame) -> Frame:
    """The frame with `short_file`, if that is a source. Of a native frame without a line it is a module."""
    is_module = frame.kind == NATIVE and frame.line <= 0
    if is_module or frame.kind not in _IMPORT_ROOTS or not frame.file:
        return frame
    return frame._replace(file=short_file(frame.kind, frame.file))
