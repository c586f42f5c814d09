"""The page of a comparison in a browser: colours and marks, widths, the table, keys, links, odd names."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from profiler.export.html_facts import colours
from profiler.profile.diff import compare, compare_runs
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Sample
from symbolizers.errors import Reason
from symbolizers.frame import NATIVE, Frame
from tests.profiler.export.html.conftest import Opener
from tests.profiler.export.html.test_access import keys
from tests.profiler.export.html.test_data import ODD_NAMES
from tests.support.export_samples import profile_of
from tests.support.page_driver import Driver
from tests.support.page_profiles import frames

ROOT = Root(b"app", 1)
COLOURS = colours("diff.css")
LIGHT = {name: found[: len(found) // 2] for name, found in COLOURS.items()}
DARK = {name: found[len(found) // 2 :] for name, found in COLOURS.items()}


def stack(*names: str, count: int) -> Sample:
    return Sample(ROOT, frames(*names), count)


BEFORE = profile_of(
    stack("main", "steady", count=5_000),
    stack("main", "hot", count=3_000),
    stack("main", "old", count=1_000),
    stack("main", "hot", "shrunk", count=1_000),
)
AFTER = profile_of(
    stack("main", "steady", count=5_000),
    stack("main", "hot", count=4_000),
    stack("main", "fresh", "below", count=600),
    stack("main", "hot", "shrunk", count=400),
)
STEADY, HOT, OLD, FRESH = 0.2, 0.7, 0.94, 0.98
"""Where the functions are in row 3, as shares of the width: hot 42 %, old 5, fresh 3 follow steady's 50."""


@pytest.fixture
def page(compared: Opener) -> Driver:
    return compared(compare(BEFORE, AFTER))


def press(page: Driver, name: str) -> None:
    page.page.get_by_role("button", name=name, exact=True).click()


def table(page: Driver) -> list[list[str]]:
    rows = page.page.locator("#functions tbody tr:not(.space)").all()
    return [row.locator("td, th").all_inner_texts() for row in rows]


def functions(page: Driver) -> list[str]:
    return [row[-1] for row in table(page)]


def test_boxes_have_the_colours_and_marks_of_their_verdicts(page: Driver) -> None:
    assert [page.name_at(3, share) for share in (STEADY, HOT, OLD, FRESH)] == [
        *("steady", "▲ hot", "− old", "+ fresh"),  # noqa: RUF001 - the mark
    ]
    assert [page.colour_at(3, share) for share in (STEADY, HOT)] == [LIGHT["noise"][0], LIGHT["more"][2]]
    assert page.name_at(4, FRESH) == "+ below"
    assert page.colour_at(4, 0.53) == LIGHT["less"][2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_theme(compared: Opener, scheme: str) -> None:
    page = compared(compare(BEFORE, AFTER), color_scheme=scheme)
    assert page.colour_at(3, HOT) == (LIGHT if scheme == "light" else DARK)["more"][2]
    page.page.locator("#theme").click()
    assert page.colour_at(3, HOT) == (DARK if scheme == "light" else LIGHT)["more"][2]


def test_new_and_gone_have_outlines(page: Driver) -> None:
    """The upper edge of a box has another colour where it has a line."""
    drawn = """({ x, y }) => {
        const pen = document.querySelector("#chart canvas").getContext("2d");
        return [...pen.getImageData(x, y, 1, 1).data];
    }"""
    row = 3 * 18

    def line(share: float) -> list[int]:
        width = page.page.locator("#chart canvas").evaluate("canvas => canvas.width")
        return list(page.page.evaluate(drawn, {"x": int(share * width), "y": row})[:3])

    red, green, blue = line(FRESH)
    assert red > 2 * blue
    assert min(line(HOT)) > 60 < min(line(STEADY))
    assert green < 60


def test_a_box_tells_both_sides_and_how_sure_the_difference_is(page: Driver) -> None:
    assert page.point_at(3, HOT) == [
        "▲ hot",
        "more, p < 0.001",
        "40.00 % → 44.00 % · +4.00 points (95 %: +2.63 to +5.37)",
        "4,000 → 4,400 samples · 3,000 → 4,000 itself",
    ]


def test_widths_are_those_of_a_side_or_of_both(page: Driver) -> None:
    assert page.name_at(3, 0.93) == "− old"  # noqa: RUF001 - the mark
    press(page, "After")
    assert [page.name_at(3, share) for share in (0.52, 0.93, 0.97)] == ["▲ hot", "▲ hot", "+ fresh"]
    press(page, "Before")
    assert [page.name_at(3, share) for share in (0.85, 0.95)] == ["▲ hot", "− old"]  # noqa: RUF001 - the mark
    assert page.name_at(3, 0.995) == "− old"  # noqa: RUF001 - the mark
    press(page, "Larger")
    # steady 50, hot 40 + 10, old 10, fresh 6 of 116
    assert [page.name_at(3, share) for share in (0.42, 0.44, 0.85, 0.87, 0.94, 0.96)] == [
        *("steady", "▲ hot", "▲ hot", "− old", "− old", "+ fresh"),  # noqa: RUF001 - the mark
    ]
    keys(page, "w")
    assert page.page.get_by_role("button", name="Mean", exact=True).get_attribute("aria-pressed") == "true"


def test_a_box_is_wide_enough_for_what_is_left_out_below_it(
    compared: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiler.profile.diff.MAX_NODES", 5)
    page = compared(compare(BEFORE, AFTER))
    assert page.name_at(3, HOT) == "▲ hot"
    assert page.name_at(3, FRESH) == page.name_at(4, 0.53) == ""
    assert page.point_at(2, 0.99)[0] == "main"
    assert "places of the call tree with the fewest samples are left out" in page.text("#warnings")


def test_orders(page: Driver) -> None:
    page.page.get_by_label("Order").select_option("change")
    assert page.name_at(3, 0.01) == "− old"  # noqa: RUF001 - the mark
    page.page.get_by_label("Order").select_option("name")
    assert page.name_at(3, 0.01) == "+ fresh"


def test_zoom_and_way_back(page: Driver) -> None:
    page.click_at(3, HOT)
    assert page.texts("#crumbs li") == ["all", "app", "main", "hot"]
    assert page.name_at(4, 0.1) == "▼ shrunk"
    page.page.go_back()
    assert page.name_at(3, STEADY) == "steady"
    press(page, "Flame graph")
    assert page.name_at(3, STEADY) == "steady"


def test_a_search_tells_what_it_matches_on_both_sides(page: Driver) -> None:
    page.page.locator("#search").fill("hot|fresh")
    assert page.texts("#terms .share") == ["40.00 % → 50.00 %"]
    assert page.colour_at(3, HOT) == "#6d28d9"
    page.page.locator("#search").fill("(")
    assert page.texts("#terms .share") == ["not a regular expression"]


def test_the_table_lists_all_functions_the_greatest_changes_first(page: Driver) -> None:
    press(page, "Functions")
    assert functions(page) == ["hot", "old", "shrunk", "below", "fresh", "main", "steady"]
    assert table(page)[0] == [
        *("40.00 %", "44.00 %", "+4.00 +2.63 to +5.37", "30.00 %", "40.00 %", "+10.00 +8.68 to +11.31"),
        *("▲ more", "p < 0.001", "hot"),
    ]
    assert [row[6] for row in table(page)] == [
        *("▲ more", "− gone", "▼ less", "+ new", "+ new", "noise", "noise"),  # noqa: RUF001 - the mark
    ]


def test_the_table_is_sorted_searched_and_filtered(page: Driver) -> None:
    press(page, "Functions")
    press(page, "Total before")
    assert functions(page)[:3] == ["main", "steady", "hot"]
    press(page, "Change of self, points and 95 % interval")
    assert functions(page)[0] == "hot"
    press(page, "Change of self, points and 95 % interval")
    assert functions(page)[0] == "old"
    press(page, "Function")
    assert functions(page) == sorted(functions(page))
    page.page.locator("#search").fill("^s")
    assert functions(page) == ["shrunk", "steady"]
    page.page.get_by_role("button", name="noise 2").click()
    assert functions(page) == ["shrunk"]
    page.page.locator("#search").fill("")
    assert functions(page) == ["below", "fresh", "hot", "old", "shrunk"]


def test_a_function_of_the_table_is_shown_in_the_graph(page: Driver) -> None:
    press(page, "Functions")
    press(page, "shrunk")
    assert page.texts("#crumbs li")[-1] == "shrunk"
    assert page.name_at(4, 0.5) == "▼ shrunk"
    assert page.texts("#terms b") == ["^shrunk$"]


def test_everything_by_keyboard_alone(page: Driver) -> None:
    keys(page, "g", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight")
    assert page.text("#details").startswith("▲ hot · more, p < 0.001 · 40.00 % → 44.00 %")
    keys(page, "Enter")
    assert page.texts("#crumbs li")[-1] == "hot"
    keys(page, "Backspace", "3", "g")
    assert page.focused() == "hot"
    keys(page, "ArrowDown", "Enter")
    assert page.texts("#crumbs li")[-1] == "old"
    keys(page, "Escape", "/", *"fresh", "Escape")
    assert page.texts("#terms .share") == ["0.00 % → 6.00 %"]
    keys(page, "d", "?")
    assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"
    told = set(re.findall(r"\S+", " ".join(page.page.locator("dialog kbd").all_inner_texts())))
    assert told == {"1", "2", "3", "w", "/", "g", "Backspace", "Escape", "d", "?"}


def test_a_screen_reader_hears_what_changed_most(page: Driver) -> None:
    tree = page.page.locator("main").aria_snapshot()
    assert 'region "Functions that changed most"' in tree
    assert "hot: more; in total 40.00 % → 44.00 %; itself 30.00 % → 40.00 %" in tree
    keys(page, "3")
    found = page.page.get_by_role(
        "table", name="Functions in both recordings, and what their differences are"
    )
    assert found.get_attribute("aria-rowcount") == "8"
    assert found.get_by_role("columnheader", name="Verdict").get_attribute("aria-sort") == "descending"
    assert found.get_by_role("row").nth(2).get_by_role("rowheader").inner_text() == "hot"


@pytest.mark.parametrize("view", ["icicle", "functions"])
def test_a_link_shows_what_was_seen(page: Driver, view: str) -> None:
    press(page, "Larger")
    page.click_at(3, 0.5)
    page.page.locator("#search").fill("shrunk")
    page.page.get_by_role("button", name="noise").click()
    if view == "functions":
        press(page, "Functions")
        press(page, "Self after")
    page.page.mouse.move(1, 1)
    seen = page.picture() if view == "icicle" else table(page)
    fragment = page.fragment
    page.open(fragment)
    assert (page.picture() if view == "icicle" else table(page)) == seen
    assert page.fragment == fragment


@pytest.mark.parametrize(
    "fragment",
    ["#z=9.99999&hide=77&width=__proto__", "#view=sandwich&sort=constructor&q=%28", "#%E0%A4%A&z=-1"],
)
def test_any_address_opens(page: Driver, fragment: str) -> None:
    page.open(fragment)
    keys(page, "1", "2", "3", "w", "1", "Escape", "g", "ArrowDown")


def lossy(profile: Profile, **facts: object) -> Profile:
    dropped = {Reason.EXITED: 300}
    row = ProcessLosses(ROOT, 10_000, 9_700, dropped)
    return replace(profile, losses=Losses(10_000, 9_700, dropped, 20, (row,)), **facts)  # type: ignore[arg-type]


def test_losses_and_machines_of_each_side_are_told(compared: Opener) -> None:
    page = compared(compare(BEFORE, lossy(AFTER, host="other", cpus=64, notes=("a note",))))
    assert "300 dropped (exited 300) · 20 lost" in page.text("#sides .loss")
    assert "0 and 320 samples have no stack." in page.text("#warnings")
    press(page, "About these recordings")
    facts = {
        row[0]: row[1:]
        for row in page.page.locator("#about tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
    }
    assert facts[""] == ["before", "after"]
    assert (facts["host"], facts["CPUs"]) == (["host", "other"], ["2", "64"])
    assert page.texts("#about li") == ["a note", "app (1): 300 dropped (exited 300)"]


def test_what_runs_of_one_side_vary_by_is_marked(compared: Opener) -> None:
    def run(hot: int) -> Profile:
        return profile_of(stack("main", "hot", count=hot), stack("main", count=5_000 - hot))

    page = compared(compare_runs([run(500), run(2_000), run(900)], [run(2_200), run(900), run(1_500)]))
    assert page.name_at(3, 0.1) == "~ hot"
    assert page.colour_at(3, 0.1) == LIGHT["unsteady"][0]
    assert page.texts("#sides dd")[0].startswith("3 recordings · ")
    assert "2 differ as much between recordings of one side" in page.text("#subtitle")


def test_names_are_text(compared: Opener) -> None:
    def odd(count: int) -> Profile:
        return replace(
            profile_of(
                *(
                    Sample(
                        Root(f"<b>{at}".encode(), at + 1),
                        (Frame(NATIVE, name), Frame(NATIVE, "<img src=x>")),
                        count,
                    )
                    for at, name in enumerate(ODD_NAMES)
                )
            ),
            host="</script><script>alert(1)</script>",
            notes=("<i>",),
        )

    page = compared(compare(odd(100), odd(120)))
    count = "document.querySelectorAll('script, img, b, i').length"
    elements = page.page.evaluate(count)
    press(page, "About these recordings")
    assert "</script><script>alert(1)</script>" in page.text("#about")
    assert page.page.evaluate(count) == elements
    keys(page, "3")
    assert {"<img src=x>", "</script><script>alert(1)</script>", "\\u202eevil"} <= set(functions(page))
    for name in ("</script><script>alert(1)</script>", "\\u202eevil", "a:b"):
        keys(page, "3", "Escape")
        page.page.locator("#functions tbody .name").nth(functions(page).index(name)).click()
        assert page.texts("#crumbs li")[-1] == name
        assert page.texts("#terms .share")[0] != "0.00 % → 0.00 %"


@pytest.mark.parametrize("sides", ["neither", "before", "after"])
def test_a_side_without_samples(compared: Opener, sides: str) -> None:
    nothing = profile_of()
    page = compared(
        compare(
            *{"neither": (nothing, nothing), "before": (BEFORE, nothing), "after": (nothing, AFTER)}[sides]
        )
    )
    if sides == "neither":
        assert page.text("#message") == "No samples were recorded."
        return
    assert page.name_at(1, 0.5) == "app"
    press(page, "After" if sides == "before" else "Before")
    assert page.text("#message") == f"Nothing was recorded {'after' if sides == 'before' else 'before'}."


def test_paper_is_light(compared: Opener) -> None:
    page = compared(compare(BEFORE, AFTER), color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    assert page.page.evaluate(f"dispatchEvent(new Event('beforeprint')), {theme}") == "light"
    assert page.page.evaluate(f"dispatchEvent(new Event('afterprint')), {theme}") == "dark"
