"""The flame graph as a person uses it: zoom, hover, keys and search, in wide and in narrow windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Locator, Page

from profiler.export import svg
from profiler.profile.interval import wilson
from profiler.profile.model import Profile, Root, Sample
from symbolizers.errors import Reason
from symbolizers.frame import NATIVE, Frame
from tests.profiler.export.test_golden import PROFILE
from tests.support.browser import chromium, opened
from tests.support.export_samples import profile_of

BOX = "xpath=//*[local-name()='g'][starts-with(*[local-name()='title'], '{}')]"
SCRIPT = "<script>alert(1)</script>"


def native(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(NATIVE, name) for name in names)


PROGRAMS = profile_of(
    Sample(Root(b"job", 10), native("main", "read"), 30),
    Sample(Root(b"job", 11), native("main", "write"), 20),
    Sample(Root(b"job", 11), native("main"), 10),
    Sample(Root(b"lone", 7), native("main", "read"), 40),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def written(profile: Profile, folder: Path) -> Path:
    path = folder / "picture.svg"
    with path.open("wb") as stream:
        svg.write(profile, stream)
    return path


def box(page: Page, text: str, number: int = 0) -> Locator:
    """The box whose title begins with `text`; of several that are there, by number."""
    return page.locator(BOX.format(text)).nth(number)


def shown(page: Page) -> list[str]:
    """The names of the boxes that can be seen, in their order."""
    script = """boxes => boxes.filter(box => box.getClientRects().length)
        .map(box => box.querySelector('title').textContent.split('\\n')[0])"""
    found: list[str] = page.locator(".graph g[data-n]").evaluate_all(script)
    return found


def share_of_graph(page: Page, of: Locator) -> float:
    whole, part = page.locator(".graph").bounding_box(), of.locator("rect").bounding_box()
    assert whole is not None
    assert part is not None
    return part["width"] / whole["width"]


def details(page: Page) -> str:
    return page.locator(".details").text_content() or ""


def test_a_click_zooms_and_escape_shows_all_again(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(PROGRAMS, tmp_path)) as page:
        assert share_of_graph(page, box(page, "lone (7)")) == pytest.approx(0.4, abs=0.01)
        box(page, "lone (7)").click()
        assert shown(page) == ["all", "lone (7)", "main", "read"]
        assert share_of_graph(page, box(page, "lone (7)")) == pytest.approx(1, abs=0.01)
        page.keyboard.press("Escape")
        assert shown(page) == ["all", "job × 2", "main", "read", "write", "lone (7)", "main", "read"]


def test_a_program_opens_into_its_processes(browser: Browser, tmp_path: Path) -> None:
    merged = ["all", "job × 2", "main", "read", "write"]
    apart = ["all", "job × 2", "job (10)", "main", "read", "job (11)", "main", "write"]
    with opened(browser, written(PROGRAMS, tmp_path)) as page:
        box(page, "job × 2").click()
        assert shown(page) == merged
        box(page, "job × 2").click()
        assert shown(page) == apart
        box(page, "job (11)").click()
        assert shown(page) == ["all", "job × 2", "job (11)", "main", "write"]
        page.get_by_text("By process").click()
        assert shown(page) == merged
        page.get_by_text("By process").click()
        page.get_by_text("Reset zoom").click()
        assert shown(page) == [*apart, "lone (7)", "main", "read"]


def test_without_programs_of_several_processes_there_is_nothing_to_open(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, written(profile_of(Sample(Root(b"p", 1), (), 1)), tmp_path)) as page:
        assert not page.get_by_text("By process").is_visible()


def test_hovering_tells_shares_of_all_and_of_the_view(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(PROGRAMS, tmp_path)) as page:
        box(page, "main").hover()
        own = "self: 10 samples (0.50 s) · 10.00 % of all (95 % sure: 5.52 to 17.44)"
        counts = "60 samples (3.00 s) · 60.00 % of all (95 % sure: 50.20 to 69.06)"
        assert details(page) == f"main · {counts} · {own}"
        box(page, "job × 2").click()
        box(page, "write").hover()
        low, high = (f"{100 * end:.2f}" for end in wilson(20, 60))
        in_view = f"33.33 % of the view (95 % sure: {low} to {high})"
        assert f" · {in_view} · self: all of them" in details(page)
        assert in_view in (box(page, "write").locator("title").text_content() or "").split("\n")
        page.mouse.move(2, 2)
        assert details(page).startswith("Click a frame to zoom")


def test_search_counts_each_sample_once_in_either_way(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(PROGRAMS, tmp_path)) as page:
        page.keyboard.press("/")
        page.keyboard.type("read|main")
        matched = page.locator(".matched")
        assert matched.text_content() == "matched 100.00 % · 100 samples"
        page.get_by_label("Search by regular expression").fill("READ")
        assert matched.text_content() == "matched 70.00 % · 70 samples"
        page.get_by_text("By process").click()
        assert matched.text_content() == "matched 70.00 % · 70 samples"
        box(page, "job (10)").click()
        assert matched.text_content() == "matched 70.00 % · 70 samples · 100.00 % of the view"
        page.get_by_text("Aa").click()
        assert matched.text_content() == "matched 0.00 % · 0 samples · 0.00 % of the view"
        page.get_by_label("Search by regular expression").fill("(")
        assert matched.text_content() == "not a regular expression"


def test_the_keyboard_alone_walks_and_zooms(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(PROGRAMS, tmp_path)) as page:
        page.locator(".graph").focus()
        walk = {"ArrowDown": "job × 2", "ArrowRight": "lone (7)", "ArrowLeft": "job × 2", "ArrowUp": "all"}
        for key, name in walk.items():
            page.keyboard.press(key)
            assert details(page).startswith(f"{name} · "), key
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        assert shown(page) == ["all", "job × 2", "main", "read", "write"]
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        assert details(page).startswith("job (10) · ")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "By process"
        page.keyboard.press("Space")
        assert shown(page) == ["all", "job × 2", "main", "read", "write"]
        assert page.locator(".details").get_attribute("aria-live") == "polite"


def test_nothing_is_cut_in_a_narrow_window(browser: Browser, tmp_path: Path) -> None:
    long = "a_function_with_a_rather_long_name_" * 12
    profile = replace(
        profile_of(Sample(Root(b"job", 1), native(long), 1), Sample(Root(b"job", 2), native("b"), 2)),
        command=f"python3 {'/srv/a/long/path' * 8}/job.py --verbose",
        notes=("a note " * 60,),
        losses=replace(PROGRAMS.losses, dropped=dict.fromkeys(Reason, 1000)),
    )
    with opened(browser, written(profile, tmp_path), width=420) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 420
        cut = """elements => elements.filter(element => element.scrollWidth > element.clientWidth + 1
            || element.getBoundingClientRect().right > 420).map(element => element.textContent)"""
        assert page.locator(".panel, .panel *").evaluate_all(cut) == []
        assert profile.command in (page.locator("h1").text_content() or "")
        panel, first = page.locator(".panel").bounding_box(), box(page, "all").bounding_box()
        assert panel is not None
        assert first is not None
        assert panel["y"] + panel["height"] <= first["y"] + 1
        box(page, "a_function").hover()
        assert long in details(page)
        assert (box(page, "a_function").locator("text").text_content() or "").endswith("…")


def test_it_opens_at_the_root_and_grows_only_with_what_can_be_seen(browser: Browser, tmp_path: Path) -> None:
    deep = tuple(f"d{depth}" for depth in range(300))
    profile = profile_of(
        Sample(Root(b"p", 1), native("f"), 5000),
        Sample(Root(b"q", 2), native("g", "h"), 20),
        Sample(Root(b"q", 2), native("g", "h", *deep), 1),
    )
    with opened(browser, written(profile, tmp_path)) as page:
        assert shown(page)[0] == "all"
        root = box(page, "all").bounding_box()
        assert root is not None
        assert root["y"] < 250
        assert page.evaluate("document.documentElement.scrollHeight") <= 800
        box(page, "q (2)").click()
        assert page.evaluate("document.documentElement.scrollHeight") > 300 * svg.ROW_PX
        page.mouse.wheel(0, 3000)
        page.wait_for_function("window.scrollY > 2000")
        bar = page.get_by_text("Reset zoom").bounding_box()
        assert bar is not None
        assert 0 <= bar["y"] < 50  # it stays in sight


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    name = f"{SCRIPT}]]><b>&amp;\"'"
    profile = replace(
        profile_of(Sample(Root(b"<b>", 1), native(name), 2), Sample(Root(b"<b>", 2), native(SCRIPT), 1)),
        command=name,
        host=SCRIPT,
        notes=(SCRIPT,),
    )
    with opened(browser, written(profile, tmp_path)) as page:
        box(page, "<script>alert(1)</script>]").hover()
        assert details(page).startswith(name.replace(";", ":"))
        assert page.locator("h1").text_content() == f"{name} on {SCRIPT}"
        assert page.locator(".note").text_content() == SCRIPT
        assert page.locator("b").count() == 1  # the name in the details


def test_every_kind_of_trouble_shows(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(PROFILE, tmp_path)) as page:
        assert shown(page)[:2] == ["all", "gunicorn × 2"]
        box(page, "gunicorn × 2").hover()
        assert details(page).endswith("20 dropped (would_fault 20)")
