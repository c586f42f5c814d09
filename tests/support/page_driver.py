"""Drives a page in Chromium, as somebody with a mouse or with a keyboard would."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page

ROW_PX = 18
SETTLE_MS = 150
"""More than what the page waits for before it changes its address for something typed."""
SHOWN = "html[data-theme]"


class Driver:
    """One open page. `check` fails if it made a request, said an error or opened a dialog of a script."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.address = file.as_uri()
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.open()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":  # what the policy refuses is one, too
            self.errors.append(message.text)

    def open(self, fragment: str = "") -> None:
        """Opens the page anew, with what a link has behind its ``#``."""
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)
        self.page.locator(SHOWN).wait_for(state="attached")  # a function would need what the policy forbids

    def check(self) -> None:
        """Nothing was asked for but the file itself, and nothing went wrong."""
        assert {url.partition("#")[0] for url in self.requests} <= {self.address, "about:blank"}
        assert self.errors == []

    @property
    def fragment(self) -> str:
        self.page.wait_for_timeout(SETTLE_MS)
        return str(self.page.evaluate("location.hash"))

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def focused(self) -> str:
        """The accessible name of what has the focus, or its text."""
        script = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        return str(self.page.evaluate(script))

    def place(self, row: int, share: float, chart: str = "#chart") -> tuple[float, float]:
        """The middle of a row, counted from where the stacks begin, at a share of the width."""
        box = self.page.locator(f"{chart} canvas").bounding_box()
        assert box
        y = (row + 0.5) * ROW_PX
        flame = self.page.locator("[data-view=flame]").get_attribute("aria-pressed") == "true"
        upward = chart == "#callers" or (chart == "#chart" and flame)
        return box["x"] + share * box["width"], box["y"] + (box["height"] - y if upward else y)

    def point_at(self, row: int, share: float, chart: str = "#chart") -> list[str]:
        """Points at a box; returns the lines of the tip: none where there is no box."""
        self.page.mouse.move(1, 1)
        self.page.mouse.move(*self.place(row, share, chart))
        return self.texts("#tip > *") if self.page.locator("#tip").is_visible() else []

    def name_at(self, row: int, share: float, chart: str = "#chart") -> str:
        return next(iter(self.point_at(row, share, chart)), "")

    def click_at(self, row: int, share: float, chart: str = "#chart") -> None:
        self.page.mouse.click(*self.place(row, share, chart))

    def colour_at(self, row: int, share: float) -> str:
        """The colour of a box at its lower edge, where no letter is: ``#rrggbb``."""
        script = """([x, y]) => {
            const canvas = document.querySelector("#chart canvas");
            const bounds = canvas.getBoundingClientRect();
            const at = [(x - bounds.left) * devicePixelRatio, (y - bounds.top + 7) * devicePixelRatio];
            const [r, g, b] = canvas.getContext("2d").getImageData(...at, 1, 1).data;
            return "#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
        }"""
        return str(self.page.evaluate(script, list(self.place(row, share))))

    def samples(self) -> int:
        """How many samples the whole graph shows; 0 if it says that none pass."""
        if self.page.locator("#message").is_visible():
            assert self.text("#message") == "No sample passes the filters."
            return 0
        self.page.keyboard.press("1")
        found = re.match(r"([\d,]+) samples?", self.point_at(0, 0.5)[1])
        assert found
        return int(found[1].replace(",", ""))

    def table(self) -> list[tuple[str, int, int]]:
        """The rows that are there: function, own samples, total samples."""
        rows = self.page.locator("#functions tbody tr:not(.space)").all()
        cells = [row.locator("td, th").all_inner_texts() for row in rows]
        return [(each[5], int(each[0].replace(",", "")), int(each[2].replace(",", ""))) for each in cells]

    def picture(self) -> str:
        """All pixels of the graph."""
        return str(self.page.evaluate("document.querySelector('#chart canvas').toDataURL()"))
