"""The page with 200,000 distinct stacks: how long it takes until one can use it, and to zoom and to search.

Other programs may use the machine meanwhile, so the best of some tries counts.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.profiler.export.html.conftest import VIEWPORT
from tests.support.page_driver import Driver
from tests.support.page_profiles import many_stacks, write_page

STACKS = 200_000
OPEN_MS = 2_000
ZOOM_MS = 100
SEARCH_MS = 300
TRIES = 5

ZOOM = """
    const canvas = document.querySelector("#chart canvas");
    const { left, top } = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new MouseEvent("click", { clientX: left + 20, clientY: top + ROW * 18 + 9 }));
"""
SEARCH = """
    const field = document.querySelector("#search");
    field.value = "WHAT";
    field.dispatchEvent(new Event("input"));
"""


def took_ms(driver: Driver, act: str) -> float:
    """From before `act` until what it has changed is drawn."""
    script = f"""async () => {{
        const started = performance.now();
        {act}
        await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
        return performance.now() - started;
    }}"""
    return float(driver.page.evaluate(script))


@pytest.fixture(scope="module")
def big(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    file = write_page(many_stacks(STACKS, STACKS), tmp_path_factory.mktemp("big") / "big.html")
    return Driver(browser.new_context(viewport=VIEWPORT).new_page(), file)  # type: ignore[arg-type]


def test_it_opens_within_two_seconds(big: Driver) -> None:
    took = []
    for _ in range(TRIES):
        big.open()
        took.append(big.page.evaluate("performance.getEntriesByName('pidflame-ready')[0].startTime"))
    assert big.samples() == STACKS
    assert min(took) < OPEN_MS, took


def test_it_zooms_within_a_tenth_of_a_second(big: Driver) -> None:
    big.open()
    for row in (1, 2):
        tries = []
        for _ in range(TRIES):
            tries.append(took_ms(big, ZOOM.replace("ROW", str(row))))
            assert len(big.texts("#crumbs li")) == row + 1
            big.page.get_by_role("button", name="Out", exact=True).click()
            big.page.wait_for_timeout(200)
        assert min(tries) < ZOOM_MS, tries
        big.click_at(row, 0.02)


def test_it_searches_within_a_third_of_a_second(big: Driver) -> None:
    big.open()
    tries = [
        took_ms(big, SEARCH.replace("WHAT", what)) for what in ("1", "12", "module_1.*_9", "7", "function")
    ]
    # What is typed slowly stays as a term, and on a busy machine that is all of it: the last one counts.
    assert big.texts("#terms .share")[-1] == f"100.00 % · {STACKS:,} samples"
    assert min(tries) < SEARCH_MS, tries
