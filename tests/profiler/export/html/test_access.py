"""The page by keyboard alone, for a screen reader, as a link; and what hostile names do to it: nothing."""

from __future__ import annotations

import re
import socket

import pytest

from profiler.export.text import frame_text, root_text
from profiler.profile.model import Root, Sample, Thread
from symbolizers.frame import NATIVE, Frame
from tests.profiler.export.html.conftest import Opener
from tests.profiler.export.html.test_data import ODD_NAMES
from tests.support.export_samples import profile_of
from tests.support.page_driver import Driver
from tests.support.page_profiles import frames, machine


def keys(page: Driver, *names: str) -> None:
    for name in names:
        page.page.keyboard.press(name)


def test_the_graph_by_keyboard_alone(page: Driver) -> None:
    keys(page, "g", "ArrowDown", "ArrowDown")
    assert page.text("#details").startswith("worker × 4 · 300 samples · 75.00 % of the whole")
    keys(page, "ArrowRight")
    assert page.text("#details").startswith("server (7) · ")
    keys(page, "ArrowLeft", "ArrowDown", "ArrowDown", "ArrowDown")
    assert page.text("#details").startswith("parse (m.py) · 180 samples")
    keys(page, "Enter")
    assert page.texts("#crumbs li")[-1] == "parse (m.py)"
    keys(page, "Backspace")
    assert page.texts("#crumbs li")[-1] == "handle (m.py)"
    keys(page, "o")
    assert page.texts("#crumbs li") == ["all", "worker × 4"]
    keys(page, "Escape")
    assert page.texts("#crumbs li") == ["all"]
    keys(page, "2", "g", "ArrowUp", "ArrowUp")
    assert page.text("#details").startswith("worker × 4")
    keys(page, "d")
    assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_table_and_sandwich_by_keyboard_alone(page: Driver) -> None:
    keys(page, "3", "g")
    assert page.focused() == "parse (m.py)"
    keys(page, "End")
    assert page.focused() == "main"
    keys(page, "Home", "ArrowDown", "Enter")
    assert page.text("#sandwich-name") == "spin (m.py)"
    keys(page, "g", "ArrowUp", "ArrowUp", "Enter")
    assert page.text("#sandwich-name") == "handle (m.py)"
    keys(page, "1", "g", "ArrowDown", "ArrowDown", "ArrowDown", "s")
    assert page.text("#sandwich-name") == "<module> (m.py)"


def test_times_and_searches_by_keyboard_alone(page: Driver) -> None:
    keys(page, "t", *["ArrowRight"] * 100)
    assert page.text("#said") == "at 10.00 s"
    keys(page, "Shift+End")
    assert page.text("#said") == "10.00 s to 20.00 s"
    assert page.page.locator("#from").input_value() == "10"
    keys(page, "Escape")
    assert page.page.locator("#from").input_value() == ""
    keys(page, "/", *"spin", "Enter", *"pool", "Escape")
    assert page.texts("#terms .share") == ["30.00 % · 120 samples", "5.00 % · 20 samples"]
    keys(page, "Escape")
    assert page.texts("#terms .share") == []


def test_nothing_is_forgotten_that_is_typed_before_the_browser_tells_of_the_new_address(page: Driver) -> None:
    page.page.evaluate(
        """() => {
            const field = document.getElementById("search");
            const type = (text) => { field.value = text; field.dispatchEvent(new Event("input")); };
            type("spin");
            field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
            type("pool");
        }"""
    )
    page.page.wait_for_timeout(50)
    assert page.texts("#terms .share") == ["30.00 % · 120 samples", "5.00 % · 20 samples"]
    assert "q=spin&q=pool" in page.fragment


def test_help_is_a_dialog_that_names_every_key(page: Driver) -> None:
    keys(page, "?")
    dialog = page.page.get_by_role("dialog", name="Keys")
    assert dialog.is_visible()
    told = set(re.findall(r"\S+", " ".join(dialog.locator("kbd").all_inner_texts())))
    assert told == {"1", "2", "3", "4", "/", "g", "s", "o", "Backspace", "Escape", "t", "d", "?"}
    keys(page, "Escape")
    assert not dialog.is_visible()


def test_the_tab_key_reaches_every_control(page: Driver) -> None:
    reached = set()
    for _ in range(80):
        keys(page, "Tab")
        reached.add(page.page.evaluate("document.activeElement.closest('[id]')?.id"))
    assert reached >= {
        *("about-button", "theme", "help-button", "group", "order", "threads", "search", "exact"),
        *("from", "to", "kinds", "crumbs"),
    }


def test_a_screen_reader_hears_the_hottest_functions(page: Driver) -> None:
    page.page.wait_for_selector("#hottest li", state="attached")
    tree = page.page.locator("main").aria_snapshot()
    assert 'region "Hottest functions"' in tree
    heard = re.findall(r"listitem: [\"']?(.*?) itself", tree)
    assert heard[:2] == ["parse (m.py): 30.00 %", "spin (m.py): 30.00 %"]
    assert 'application "Call tree; arrow keys walk over the boxes, Enter zooms"' in tree


def test_the_table_is_one_for_a_screen_reader(page: Driver) -> None:
    keys(page, "3")
    table = page.page.get_by_role("table", name="Functions by the samples in which they ran")
    assert table.get_by_role("columnheader").all_inner_texts() == ["Self", "Total", "Kind", "Function"]
    assert table.get_by_role("columnheader", name="Self").get_attribute("aria-sort") == "descending"
    assert table.get_attribute("aria-rowcount") == "10"
    row = table.get_by_role("row").nth(1)
    assert row.get_by_role("rowheader").inner_text() == "parse (m.py)"
    assert row.get_by_role("cell").all_inner_texts()[:4] == ["120", "30.00 %", "180", "45.00 %"]
    table.get_by_role("button", name="Function").click()
    assert [name for name, _, _ in page.table()] == sorted(name for name, _, _ in page.table())
    table.get_by_role("button", name="Total").click()
    assert page.table()[0] == ("<module> (m.py)", 0, 300)
    table.get_by_role("button", name="Total").click()
    assert table.get_by_role("columnheader", name="Total").get_attribute("aria-sort") == "ascending"


def test_a_long_table_has_the_rows_in_sight(opened: Opener) -> None:
    long = opened(profile_of(*(Sample(Root(b"p", 1), frames(f"f{i:05}"), 20_000 - i) for i in range(20_000))))
    keys(long, "3", "g")
    assert long.page.locator("#functions table").get_attribute("aria-rowcount") == "20001"
    keys(long, "PageDown", "ArrowDown")
    down = long.focused()
    keys(long, "End")
    assert (down < long.focused(), long.focused()) == (True, "f19999")
    assert long.page.locator("#functions tbody tr").count() < 100
    row = long.page.locator("#functions tbody tr:has(button[tabindex='0'])")
    assert row.get_attribute("aria-rowindex") == "20001"


FRAGMENTS = {
    "zoom and search": lambda page: (page.click_at(4, 0.1), page.page.locator("#search").fill("read")),
    "open program": lambda page: (
        page.click_at(1, 0.1),
        page.page.get_by_role("button", name="Open into processes").click(),
    ),
    "filters": lambda page: (
        page.page.get_by_label("Only this program").select_option(label="worker"),
        page.page.get_by_label("All but this program").click(),
        page.page.get_by_role("button", name="kernel").click(),
        page.page.get_by_label("Threads").check(),
    ),
    "span, flame, dark": lambda page: (
        page.page.get_by_label("From").fill("2.5"),
        page.page.get_by_label("From").press("Enter"),
        keys(page, "2", "d"),
        page.page.get_by_label("Order").select_option("name"),
        page.page.get_by_label("Group by").select_option("container"),
    ),
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_link_shows_what_was_seen(page: Driver, name: str) -> None:
    FRAGMENTS[name](page)
    page.page.mouse.move(1, 1)
    picture, fragment, terms = page.picture(), page.fragment, page.texts("#terms .share")
    page.open(fragment)
    assert page.picture() == picture
    assert page.texts("#terms .share") == terms
    assert page.fragment == fragment
    page.open()
    assert page.picture() != picture


def test_a_link_to_other_views(page: Driver) -> None:
    keys(page, "3", "g", "ArrowDown", "Enter")
    page.page.get_by_role("button", name="Heat map").click()
    page.open(page.fragment)
    assert page.text("#sandwich-name") == "spin (m.py)"
    assert page.page.locator("#heat").is_visible()
    page.open("#view=functions&sort=name")
    assert page.table()[0][0] == "spin (m.py)"


@pytest.mark.parametrize(
    "fragment",
    [
        "#z=999999.1&program=77&process=!999&hide=99&open=55&f=99999999",
        "#view=<script>&t=9-1&q=%28&group=__proto__&sort=constructor",
        "#%E0%A4%A&z=1e9.-4.x&t=a-b&f=-1",
        "#t=0-1&thread=!5&container=9&time=heat&z=....",
    ],
)
def test_any_address_opens(page: Driver, fragment: str) -> None:
    page.open(fragment)
    keys(page, "1", "2", "3", "4", "1", "Escape", "t", "Shift+ArrowRight", "g", "ArrowDown")


def test_names_are_text(opened: Opener) -> None:
    samples = [
        Sample(
            Root(f"<b>{at}".encode(), at + 1),
            (Frame(NATIVE, name), Frame(NATIVE, "<img src=x onerror=alert(1)>")),
            100 + at,
            Thread(b"<i>", at + 1, name),
        )
        for at, name in enumerate(ODD_NAMES)
    ]
    page = opened(profile_of(*samples))
    elements = page.page.evaluate("document.querySelectorAll('script, img, b, i').length")
    keys(page, "3")
    shown = {name for name, _, _ in page.table()}
    assert {re.sub(r"\s+", " ", frame_text(sample.frames[0])).strip() for sample in samples} <= shown
    assert "<img src=x onerror=alert(1)>" in shown
    keys(page, "1")
    assert page.name_at(1, 0.05) == root_text(samples[-1].root)
    page.page.get_by_label("Threads").check()
    keys(page, "g", "ArrowDown", "ArrowDown", "ArrowDown", "Enter", "s")
    page.page.mouse.move(1, 1)
    assert page.page.evaluate("document.querySelectorAll('script, img, b, i').length") <= elements + 1
    assert page.page.title() == "CPU profile on host"


def test_markup_is_refused_even_if_a_script_tried(page: Driver) -> None:
    tried = page.page.evaluate("""() => {
        try { document.body.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
    }""")
    assert tried == "TypeError"
    assert page.errors
    page.errors.clear()


def received(server: socket.socket) -> bytes:
    """What comes in within half a second. Chromium may connect for a frame before it asks the policy."""
    server.settimeout(0.5)
    try:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(0.5)
            return connection.recv(1)
    except TimeoutError:
        return b""


def test_no_request_leaves_the_page_even_if_a_script_tried(opened: Opener) -> None:
    page = opened(machine())
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        refused = page.page.evaluate(
            """async (address) => {
                new Image().src = address;
                navigator.sendBeacon(address);
                const frame = document.createElement("iframe");
                frame.src = address;
                document.body.append(frame);
                try { await fetch(address); } catch (error) { return error.name; }
            }""",
            address,
        )
        assert refused == "TypeError"
        assert received(server) == b""
    page.requests.clear()
    page.errors.clear()
