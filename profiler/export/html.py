"""A page as one HTML file: it works from a disk without a network, and never asks for anything.

The markup, the style sheet and the scripts (rooms by purpose, joined here) lie in ``page/``. The recording
is in the page as data (`profiler.export.html_data`), so that no name of a target is ever markup or code. A
policy in the head forbids all requests, and every script and style but these.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import BinaryIO

from profiler.export.html_data import pack
from profiler.export.text import title_text
from profiler.profile.model import Profile

ROOMS = (
    *("text", "data", "tree", "recording", "search", "state", "colours", "chart", "sandwich", "table"),
    *("timeline", "heat", "controls", "about", "page"),
)
"""The scripts, each after those whose classes it extends; they share one scope."""
_PLACEHOLDER = "<!--{}-->"


def write(profile: Profile, stream: BinaryIO) -> None:
    """Write the whole page, UTF-8. A profile without samples gives a page that says so."""
    style = f"\n{_asset('page.css')}"
    script = '\n(() => {\n"use strict";\n' + "\n".join(_asset(f"{room}.js") for room in ROOMS) + "})();\n"
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
        "title": f"<title>{escape(title_text(profile), quote=False)}</title>",
        "style": f"<style>{style}</style>",
        # Base64 has no character that could end the element.
        "data": f'<script type="text/plain" id="data">{b64encode(pack(profile)).decode()}</script>',
        "script": f"<script>{script}</script>",
    }
    rest = _asset("page.html")
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
