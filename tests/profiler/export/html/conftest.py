"""A Chromium for the tests of pages, and pages that were opened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from profiler.profile.diff import Diff
from profiler.profile.model import Profile
from tests.support.browser import chromium
from tests.support.page_driver import Driver
from tests.support.page_profiles import machine, write_diff_page, write_page

VIEWPORT = {"width": 1280, "height": 800}

Opener = Callable[..., Driver]


@pytest.fixture(scope="module")  # a process may have one Playwright at a time, and others start theirs
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Opener]:
    """Opens a file, in a context of its own. At the end, each page is checked."""
    drivers: list[Driver] = []

    def open_page(file: Path, **options: object) -> Driver:
        context = browser.new_context(**{"viewport": VIEWPORT, **options})  # type: ignore[arg-type]
        drivers.append(Driver(context.new_page(), file))
        return drivers[-1]

    yield open_page
    for driver in drivers:
        driver.check()
        driver.page.context.close()


@pytest.fixture
def opened(open_file: Opener, tmp_path: Path) -> Opener:
    """Opens the page of a profile."""
    numbers = count()

    def open_page(profile: Profile, **options: object) -> Driver:
        return open_file(write_page(profile, tmp_path / f"page {next(numbers)}.html"), **options)

    return open_page


@pytest.fixture
def compared(open_file: Opener, tmp_path: Path) -> Opener:
    """Opens the page of a comparison."""
    numbers = count()

    def open_page(diff: Diff, **options: object) -> Driver:
        return open_file(write_diff_page(diff, tmp_path / f"diff {next(numbers)}.html"), **options)

    return open_page


@pytest.fixture
def page(opened: Opener) -> Driver:
    """The page of `machine()`."""
    return opened(machine())
