"""speedscope's own page, from its npm package, in Chromium."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import fastjsonschema
from playwright.sync_api import sync_playwright

from tests.support.readers import MODULES, TIMEOUT_S, Refused

PACKAGE = MODULES / "speedscope" / "dist" / "release"
_UNITS_S = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_BROWSER = "/usr/bin/chromium"
_ARGUMENTS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""The page draws by WebGL."""
_WINDOW = {"width": 1200, "height": 3000}
"""Only rows within it are there."""
_IS_READY = r"""() =>
    [...document.querySelectorAll("td")].some(cell => /\([<\d.]+%\)/.test(cell.textContent))
    || document.body.textContent.includes("Something went wrong")"""
"""The table of functions has shares; what else there is comes sooner."""


class Function(NamedTuple):
    """A row of the sandwich view, in seconds."""

    total_s: float
    self_s: float


class Page(NamedTuple):
    """What the page shows of a file: its title, the profiles in it, and the functions of the first."""

    title: str
    profiles: dict[str, float]
    """Total seconds by name; empty where the file has only one."""
    functions: dict[str, Function]


def opened(path: Path) -> Page:
    """Opens a file as speedscope's command does. Raises `Refused` if the page shows nothing of it."""
    script = path.with_name("open-it.js")
    contents = base64.b64encode(path.read_bytes()).decode()
    script.write_text(f"speedscope.loadFileFromBase64({json.dumps(path.name)}, {json.dumps(contents)})")
    html = _html(f"file://{PACKAGE}/index.html#localProfilePath={script}&view=sandwich")
    reader = _Reader()
    reader.feed(html)
    if not reader.functions:
        raise Refused(f"speedscope shows nothing of {path.name}: {html}")
    return Page(reader.title.removesuffix(" - speedscope"), reader.profiles, reader.functions)


def _html(address: str) -> str:
    """The page once it shows the functions, or says that it can't."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_BROWSER, args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport=_WINDOW)
            page.goto(address)
            page.wait_for_function(_IS_READY, timeout=TIMEOUT_S * 1000)
            return page.content()
        finally:
            browser.close()


def check_schema(document: object) -> None:
    """Raises `fastjsonschema.JsonSchemaException` for what the package's own schema does not allow."""
    _schema()(document)


@cache
def _schema() -> Callable[[object], object]:
    schema = json.loads((PACKAGE / "file-format-schema.json").read_text())
    return fastjsonschema.compile(schema)


class _Reader(HTMLParser):
    """The page's tables. A row of the profiles has three cells: number, name, weight."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.profiles: dict[str, float] = {}
        self.functions: dict[str, Function] = {}
        self._cells: list[str] | None = None
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        if tag == "tr":
            self._cells = []
        if tag == "td" and self._cells is not None:
            self._cells.append("")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        if self._cells:
            self._cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        if tag == "tr" and self._cells:
            first, second, third = self._cells
            if "(" in first:
                self.functions[third] = Function(_seconds(first), _seconds(second))
            else:
                self.profiles[second] = _seconds(third)
            self._cells = None


def _seconds(text: str) -> float:
    """``2.10s (47%)`` and the like."""
    value = text.split(" (")[0]
    unit = value.lstrip("0123456789.")
    if unit == "min":
        return float(value.removesuffix(unit)) * 60
    return float(value.removesuffix(unit)) * _UNITS_S[unit]
