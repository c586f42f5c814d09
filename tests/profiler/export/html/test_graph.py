"""The graph in a browser: what boxes there are, what they say, zoom, search, sandwich."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from profiler.export.text import warnings
from profiler.profile.model import Losses, ProcessLosses, Root, Sample, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import MARKER, NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.profiler.export.html.conftest import Opener
from tests.support.export_samples import profile_of
from tests.support.page_driver import ROW_PX, Driver
from tests.support.page_profiles import frames, machine

WORKER, SERVER, SHELL = 0.3, 0.85, 0.97
"""Where the programs of `machine` are, as shares of the width; the biggest is first."""


def test_programs_are_one_box_each_the_biggest_first(page: Driver) -> None:
    assert [page.name_at(1, share) for share in (WORKER, SERVER, SHELL)] == [
        "worker × 4",
        "server (7)",
        "sh (9)",
    ]
    assert [page.name_at(row, 0.1) for row in range(7)] == [
        *("all", "worker × 4", "<module> (m.py)", "handle (m.py)", "parse (m.py)", "read_[k]", ""),
    ]


def test_a_box_tells_its_shares_its_own_time_and_how_sure_that_is(page: Driver) -> None:
    page.click_at(1, WORKER)
    assert page.point_at(4, 0.1) == [
        "parse (m.py)",
        "180 samples · 45.00 % of the whole (95 %: 40.20 to 49.90 %)",
        "60.00 % of the view",
        "120 samples itself (30.00 %)",
    ]


def test_a_process_tells_its_command_and_container(page: Driver) -> None:
    lines = page.point_at(1, SERVER)
    assert lines[3:] == ["command: server --go", "container: web", "user: 1000", "parent: 1"]


def test_losses_are_told_at_processes_and_programs_and_beside_the_graph(opened: Opener) -> None:
    roots = [Root(b"app", 1), Root(b"app", 2), Root(b"app", 3)]
    dropped = {Reason.WOULD_FAULT: 20}
    row = ProcessLosses(roots[0], 120, 100, dropped, "a note", verdict=Verdict(1 / 6, 0.11, 0.24, True))
    losses = Losses(320, 300, dropped, 0, (row,))
    profile = profile_of(*(Sample(root, frames("f"), 100) for root in roots))
    page = opened(replace(profile, losses=losses, notes=("said of all",)))
    (warning,) = page.texts("#warnings li")
    assert warning == warnings(losses)[0]
    told = "3 processes, which o opens; samples of 1 of them were lost or are partial"
    assert page.point_at(1, 0.5)[3:] == [told]
    page.page.get_by_label("Group by").select_option("process")
    assert page.point_at(1, 0.1)[3:] == ["20 dropped (would_fault 20)", "a note"]
    page.page.get_by_role("button", name="About this recording").click()
    assert page.texts("#about li") == ["said of all", "app (1): 20 dropped (would_fault 20); a note"]


def test_a_click_zooms_and_back_goes_back(page: Driver) -> None:
    page.click_at(1, SERVER)
    assert page.texts("#crumbs li") == ["all", "server (7)"]
    assert [page.name_at(3, share) for share in (0.5, 0.9)] == ["serve", "pool"]
    page.click_at(3, 0.5)
    assert page.texts("#crumbs li") == ["all", "server (7)", "main", "serve"]
    page.page.go_back()
    assert page.texts("#crumbs li") == ["all", "server (7)"]
    page.page.go_forward()
    assert page.name_at(3, 0.99) == "serve"
    page.page.get_by_role("button", name="Out", exact=True).click()
    page.page.get_by_role("navigation", name="Zoom").get_by_role("button", name="all", exact=True).click()
    assert page.name_at(1, SERVER) == "server (7)"


def test_a_program_opens_into_its_processes(page: Driver) -> None:
    page.click_at(1, WORKER)
    page.page.get_by_role("button", name="Open into processes").click()
    assert [page.name_at(2, share) for share in (0.1, 0.4, 0.6, 0.9)] == [
        f"worker ({pid})" for pid in range(100, 104)
    ]
    page.page.get_by_role("button", name="As one box").click()
    assert page.name_at(2, 0.1) == "<module> (m.py)"


@pytest.mark.parametrize(
    ("group", "row_1"),
    [
        ("process", ["server (7)", "worker (103)"]),
        ("container", ["no container", "container web"]),
        ("user", ["user 1000", "user 1000"]),
        ("none", ["<module> (m.py)", "main"]),
    ],
)
def test_groups(page: Driver, group: str, row_1: list[str]) -> None:
    page.page.get_by_label("Group by").select_option(group)
    assert [page.name_at(1, share) for share in (0.05, 0.9)] == row_1
    assert page.samples() == 400


def test_order_by_name_and_threads(page: Driver) -> None:
    page.page.get_by_label("Order").select_option("name")
    assert [page.name_at(1, share) for share in (0.1, 0.22, 0.6)] == ["server (7)", "sh (9)", "worker × 4"]
    page.page.get_by_label("Threads").check()
    assert [page.name_at(2, share) for share in (0.02, 0.15)] == ["thread pool (8)", "thread server (7)"]


def test_a_flame_graph_has_its_root_below_and_in_sight(page: Driver) -> None:
    page.page.get_by_role("button", name="Flame graph").click()
    assert [page.name_at(row, 0.1) for row in (0, 1, 5)] == ["all", "worker × 4", "read_[k]"]


def test_it_opens_where_the_content_is(opened: Opener) -> None:
    deep = opened(profile_of(Sample(Root(b"p", 1), frames(*(f"f{i}" for i in range(5_000))), 1)))
    assert deep.name_at(1, 0.5) == "p (1)"
    deep.page.get_by_role("button", name="Flame graph").click()
    assert deep.name_at(1, 0.5) == "p (1)"
    deep.page.locator("#chart").evaluate("box => { box.scrollTop = 0; }")
    deep.page.wait_for_timeout(100)
    height = deep.page.locator("#chart").evaluate("box => box.scrollHeight")
    assert height == 5_002 * ROW_PX
    box = deep.page.locator("#chart canvas").bounding_box()
    assert box
    deep.page.mouse.move(box["x"] + 50, box["y"] + 5)
    assert deep.texts("#tip > *")[0] == "f4999"


def test_frames_under_half_a_pixel_do_not_set_the_height(opened: Opener) -> None:
    thin = opened(
        profile_of(
            Sample(Root(b"p", 1), frames("main"), 10_000),
            Sample(Root(b"p", 1), frames(*(f"f{i}" for i in range(500))), 1),
        )
    )
    size = thin.page.locator("#chart").evaluate("box => [box.scrollHeight, box.clientHeight]")
    assert size[0] == size[1]
    assert thin.samples() == 10_001


def test_searches_tell_what_they_match_each_in_its_colour(page: Driver) -> None:
    search = page.page.get_by_role("textbox", name="Search by regular expression")
    search.fill("PARSE")
    assert page.text("#terms") == "parse".upper() + " 45.00 % · 180 samples×"
    assert page.colour_at(4, 0.1) == "#6d28d9"
    search.press("Enter")
    search.fill("^(read|eval)")
    assert page.texts("#terms .share") == ["45.00 % · 180 samples", "20.00 % · 80 samples"]
    assert page.colour_at(5, 0.1) == page.colour_at(3, SHELL) == "#c2410c"
    page.click_at(1, WORKER)
    assert page.texts("#terms .share") == [
        "45.00 % · 180 samples · 60.00 % of the view",
        "20.00 % · 80 samples · 20.00 % of the view",
    ]
    page.page.get_by_role("button", name="Remove the search PARSE").click()
    assert page.texts("#terms b") == ["^(read|eval)"]
    page.page.get_by_role("button", name="Aa").click()
    search.fill("READ")
    assert page.texts("#terms .share")[-1].startswith("0.00 %")


def test_what_is_no_regular_expression_is_told(page: Driver) -> None:
    page.page.locator("#search").fill("(")
    assert page.texts("#terms .share") == ["not a regular expression"]
    assert page.page.locator("#search").get_attribute("aria-invalid") == "true"
    assert page.name_at(1, WORKER) == "worker × 4"


def test_recursion_counts_once_in_the_table_and_in_searches(opened: Opener) -> None:
    again = opened(
        profile_of(Sample(Root(b"p", 1), frames("f", "g", "f", "f"), 6), Sample(Root(b"p", 1), (), 4))
    )
    again.page.locator("#search").fill("^f$")
    assert again.texts("#terms .share") == ["60.00 % · 6 samples"]
    again.page.locator("#search").fill("")
    again.page.get_by_role("button", name="Functions").click()
    assert again.table() == [("f", 6, 6), ("g", 0, 6)]
    again.page.get_by_role("button", name="f", exact=True).click()
    assert again.text("#sandwich-share").startswith("6 samples · 60.00 %")
    assert [again.name_at(row, 0.5, "#callees") for row in range(4)] == ["f", "g", "f", "f"]
    assert [again.name_at(row, 0.5, "#callers") for row in range(3)] == ["f", "p (1)", ""]


def test_a_sandwich_has_all_callers_and_callees(opened: Opener) -> None:
    stacks = {("a", "f", "x"): 5, ("b", "f", "x"): 2, ("b", "f"): 2, ("a", "c"): 1}
    page = opened(profile_of(*(Sample(Root(b"p", 1), frames(*stack), n) for stack, n in stacks.items())))
    page.click_at(3, 0.2)
    page.page.get_by_role("button", name="Callers and callees").click()
    assert page.text("#sandwich-name") == "f"
    assert page.text("#sandwich-share").startswith("9 samples · 90.00 %")
    assert page.text("#sandwich-share").endswith("2 samples itself")
    assert page.point_at(1, 0.1, "#callers")[:2][0] == "a"
    assert page.point_at(1, 0.1, "#callers")[1].startswith("5 samples · 55.56 %")
    assert page.point_at(1, 0.9, "#callers")[0] == "b"
    assert page.point_at(1, 0.1, "#callees")[1].startswith("7 samples")
    page.click_at(1, 0.9, "#callers")
    assert page.text("#sandwich-name") == "b"
    page.page.go_back()
    assert page.text("#sandwich-name") == "f"


def test_kinds_that_are_hidden_leave_their_time_to_their_callers(page: Driver) -> None:
    page.page.get_by_role("button", name="kernel").click()
    assert page.name_at(5, 0.1) == ""
    assert page.point_at(4, 0.1)[2] == "180 samples itself (45.00 %)"
    page.page.get_by_role("button", name=LANGUAGES[0].title).click()
    assert page.name_at(2, 0.1) == ""
    assert page.samples() == 400


def test_hidden_frames_make_their_callees_one(opened: Opener) -> None:
    hidden = (Frame(MARKER, "[gc]"), Frame(NATIVE, "f"))
    page = opened(profile_of(Sample(Root(b"p", 1), hidden, 3), Sample(Root(b"p", 1), frames("f"), 2)))
    assert page.name_at(3, 0.1) == "f"
    page.page.get_by_role("button", name="said by pidflame").click()
    assert page.point_at(2, 0.9)[:2] == ["f", "5 samples · 100.00 % of the whole (95 %: 56.55 to 100.00 %)"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_those_of_the_picture_in_light_and_dark(opened: Opener, scheme: str) -> None:
    page = opened(machine(), color_scheme=scheme)
    palette = LANGUAGES[0].palette
    assert page.colour_at(4, 0.1) in (palette.dark if scheme == "dark" else palette.light)
    page.page.locator("#theme").click()
    assert page.colour_at(4, 0.1) in (palette.light if scheme == "dark" else palette.dark)


def test_canvases_have_the_screens_pixels(opened: Opener) -> None:
    page = opened(machine(), device_scale_factor=2)
    size = page.page.locator("#chart canvas").evaluate("canvas => [canvas.width, canvas.clientWidth]")
    assert size[0] == 2 * size[1]


def test_paper_is_light(opened: Opener) -> None:
    page = opened(machine(), color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    assert page.page.evaluate(f"dispatchEvent(new Event('beforeprint')), {theme}") == "light"
    assert page.colour_at(4, 0.1) in LANGUAGES[0].palette.light
    assert page.page.evaluate(f"dispatchEvent(new Event('afterprint')), {theme}") == "dark"
    page.page.emulate_media(media="print")
    assert not page.page.locator("#search").is_visible()
    assert page.page.locator("#about").is_visible()


@pytest.mark.parametrize("lost", [0, 5])
def test_without_samples_it_says_so(opened: Opener, lost: int) -> None:
    page = opened(replace(profile_of(), losses=Losses(lost, 0, {Reason.STALLED: lost}, 0)))
    expected = "No sample could be symbolized." if lost else "No samples were recorded."
    assert page.text("#message") == expected
