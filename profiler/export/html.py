"""A page as one HTML file: it works from a disk without a network, and never asks for anything.

The markup, the style sheet and the scripts (rooms by purpose, joined here) lie in ``page/``. The recording
is in the page as data (`profiler.export.html_data`), so that no name of a target is ever markup or code. A
policy in the head forbids all requests, and every script and style but these.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import BinaryIO

from msgspec import Struct

from profiler.export.html_data import pack
from profiler.export.text import title_text
from profiler.profile.model import Profile

COMMON_ROOMS = (
    *("text", "data", "tree", "search", "store", "colours", "chart", "rows", "fields", "aside", "open"),
)
"""The scripts that pages of all kinds have."""
ROOMS = (
    *COMMON_ROOMS,
    *("recording", "state", "sandwich", "table", "timeline", "heat", "controls", "about", "page"),
)
"""The scripts, each after those whose classes it extends; they share one scope."""
_PLACEHOLDER = "<!--{}-->"


class Document(Struct, frozen=True):
    """What a page is made of: files in ``page/``, and what it is about."""

    title: str
    markup: str
    styles: Sequence[str]
    rooms: Sequence[str]
    data: bytes


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the whole page, UTF-8. A profile without samples gives a page that says so."""
    write_document(Document(title_text(profile), "page.html", ("page.css",), ROOMS, pack(profile)), stream)


def write_document(document: Document, stream: BinaryIO) -> None:
    """Write a page as one file, UTF-8."""
    style = "\n" + "\n".join(map(_asset, document.styles))
    scripts = "\n".join(_asset(f"{room}.js") for room in document.rooms)
    script = f'\n(() => {{\n"use strict";\n{scripts}}})();\n'
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
        "title": f"<title>{escape(document.title, quote=False)}</title>",
        "style": f"<style>{style}</style>",
        # Base64 has no character that could end the element.
        "data": f'<script type="text/plain" id="data">{b64encode(document.data).decode()}</script>',
        "script": f"<script>{script}</script>",
    }
    rest = _asset(document.markup)
    for name, part in parts.items():
        before, found, rest = rest.partition(_PLACEHOLDER.format(name))
        assert found, name
        stream.write(before.encode())
        stream.write(part.encode())
    stream.write(rest.encode())


def _policy(style: str, script: str) -> str:
    """Nothing is loaded, nothing but this style and script is obeyed, and no text becomes markup."""
    rules = (
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
        "trusted-types 'none'",
        "require-trusted-types-for 'script'",
    )
    return "; ".join(rules)


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return files("profiler.export").joinpath("page").joinpath(name).read_text(encoding="utf-8")
