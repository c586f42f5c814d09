"""The one list of formats of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.profile.diff import Diff

DIFF_FORMATS = {".html": "diff_html", ".svg": "diff_svg", ".txt": "diff_table"}
"""The module that writes a file of this suffix."""


def diff_writer(path: str) -> Callable[[Diff, BinaryIO], None]:
    """What writes a comparison to `path`; '-' is the table. Raises `UsageError` for an unknown suffix."""
    name = DIFF_FORMATS.get(".txt" if path == "-" else PurePath(path).suffix.lower())
    if name is None:
        raise UsageError(f"no format of a comparison for {path!r}; known suffixes: {', '.join(DIFF_FORMATS)}")

    def write(diff: Diff, stream: BinaryIO) -> None:
        import_module(f"profiler.export.{name}").write(diff, stream)

    return write
