"""A comparison as one HTML page, which works as that of a recording does (`profiler.export.html`)."""

from __future__ import annotations

from typing import BinaryIO

from profiler.export.diff_html_data import pack
from profiler.export.diff_text import title
from profiler.export.html import COMMON_ROOMS, Document, write_document
from profiler.profile.diff import Diff

ROOMS = (*COMMON_ROOMS, "comparison", "diff_state", "diff_chart", "diff_table", "diff_about", "diff_page")
"""The scripts, in `html.ROOMS`' manner."""


def write(diff: Diff, stream: BinaryIO) -> None:
    """Write the whole page, UTF-8. Recordings without samples give a page that says so."""
    write_document(Document(title(diff), "diff.html", ("page.css", "diff.css"), ROOMS, pack(diff)), stream)
