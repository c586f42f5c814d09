"""The timeline, the heat map and the filters: what they show, and that the rest is elsewhere."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from profiler.profile.model import Root, Sample
from tests.profiler.export.html.conftest import Opener
from tests.support.export_samples import profile_of
from tests.support.page_driver import Driver
from tests.support.page_profiles import DURATION_S, frames, machine

GUTTER_PX = 170
FIRST_HALF = 236
"""Samples of `machine` before 10 s: 4 times 45, 34 and 12 of the server's, 10 of the shell."""


def drag(page: Driver, canvas: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags over a canvas; positions are px from its upper left corner."""
    box = page.page.locator(canvas).bounding_box()
    assert box
    page.page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + (start[0] + end[0]) / 2, box["y"] + (start[1] + end[1]) / 2)
    page.page.mouse.move(box["x"] + end[0], box["y"] + end[1])
    page.page.mouse.up()


def x_of(page: Driver, second: float) -> float:
    width: int = page.page.locator("#lanes").evaluate("box => box.clientWidth")
    return GUTTER_PX + (width - GUTTER_PX) * second / DURATION_S


def ends(page: Driver) -> list[float]:
    return [float(page.page.locator(name).input_value()) for name in ("#from", "#to")]


def test_a_span_is_selected_by_dragging(page: Driver) -> None:
    drag(page, "#lanes canvas", (x_of(page, 9.5), 40), (x_of(page, 19.5), 10))
    assert ends(page) == [pytest.approx(9.5, abs=0.05), pytest.approx(19.5, abs=0.05)]
    assert page.name_at(4, 0.1) == "spin (m.py)"
    assert page.point_at(1, 0.1)[1].startswith("120 samples")
    page.page.go_back()
    assert page.samples() == 400


def test_a_click_in_the_timeline_selects_everything_again(page: Driver) -> None:
    drag(page, "#lanes canvas", (x_of(page, 0), 40), (x_of(page, 10), 40))
    assert page.samples() == FIRST_HALF
    page.page.locator("#lanes canvas").click()
    assert page.samples() == 400


def test_a_span_and_the_rest_add_up(page: Driver) -> None:
    page.page.get_by_label("From").fill("10")
    page.page.get_by_label("From").press("Enter")
    assert page.samples() == 400 - FIRST_HALF
    page.page.get_by_role("button", name="Whole recording").click()
    page.page.locator("#to").fill("10")
    page.page.locator("#to").press("Enter")
    assert page.samples() == FIRST_HALF


def test_the_heat_map_selects_from_cell_to_cell(page: Driver) -> None:
    page.page.get_by_role("button", name="Heat map").click()
    width = page.page.locator("#heat").evaluate("box => box.clientWidth")
    column = min((width - GUTTER_PX) // DURATION_S, 40)
    # From the 26th of the 50 cells of second 2 (2.5 s) to the end of the 6th cell of second 4 (4.12 s).
    drag(
        page,
        "#heat canvas",
        (GUTTER_PX + 2.5 * column, 25 * 3 + 1),
        (GUTTER_PX + 4.5 * column, 5 * 3 + 1),
    )
    assert ends(page) == [2.5, 4.12]


def test_the_timeline_shows_when_the_zoom_ran(page: Driver) -> None:
    def pixels() -> int:
        script = """() => {
            const canvas = document.querySelector("#lanes canvas");
            const [x, y] = [canvas.width / 2 + 90, 0];
            const data = canvas.getContext("2d").getImageData(x, y, canvas.width - x, 28).data;
            const paper = data.slice(0, 3).join();
            let other = 0;
            for (let i = 0; i < data.length; i += 4) other += data.slice(i, i + 3).join() !== paper;
            return other;
        }"""
        found = page.page.evaluate(script)
        assert isinstance(found, int)
        return found

    before = pixels()
    page.click_at(4, 0.1)  # parse, which ran in the first half alone
    assert before > 0
    assert pixels() == 0


def test_without_times_there_is_no_timeline(opened: Opener) -> None:
    page = opened(profile_of(Sample(Root(b"p", 1), frames("f"), 7)))
    assert not page.page.locator("#times").is_visible()
    assert not page.page.get_by_label("Threads").is_visible()
    assert page.samples() == 7


def test_samples_later_than_the_recording_was_long_are_in_the_timeline(opened: Opener) -> None:
    sample = Sample(Root(b"p", 1), frames("f"), 2, times_ms=(10, 2_500))
    page = opened(replace(profile_of(sample), duration_s=1.0))
    page.page.get_by_label("From").fill("2")
    page.page.get_by_label("From").press("Enter")
    assert page.samples() == 1


FILTERS = {
    "program": {"worker": 300, "server": 80, "sh": 20},
    "process": {"worker (101)": 75, "server (7)": 80},
    "thread": {"thread pool (8)": 20, "thread server (7)": 60},
    "container": {"web": 80, "none": 320},
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_and_its_complement_add_up(page: Driver, name: str) -> None:
    for value, samples in FILTERS[name].items():
        page.page.get_by_label(f"Only this {name}").select_option(label=value)
        assert page.samples() == samples
        page.page.get_by_label(f"All but this {name}").click()
        assert page.samples() == 400 - samples
        page.page.get_by_label(f"All but this {name}").click()
        page.page.get_by_label(f"Only this {name}").select_option(label="any")
        assert page.samples() == 400


def test_filters_narrow_each_other(page: Driver) -> None:
    page.page.get_by_label("Only this program").select_option(label="worker")
    assert page.page.get_by_label("Only this process").locator("option").all_inner_texts() == [
        "any",
        *(f"worker ({pid})" for pid in range(100, 104)),
    ]
    page.page.get_by_label("Only this process").select_option(label="worker (102)")
    assert page.name_at(1, 0.5) == "worker (102)"
    page.page.get_by_label("Only this container").select_option(label="web")
    assert page.samples() == 0


def test_every_view_counts_the_same(page: Driver) -> None:
    page.page.get_by_label("Only this program").select_option(label="worker")
    page.page.get_by_role("button", name="Functions").click()
    assert sorted(page.table()) == [
        ("<module> (m.py)", 0, 300),
        ("handle (m.py)", 0, 300),
        ("parse (m.py)", 120, 180),
        ("read_[k]", 60, 60),
        ("spin (m.py)", 120, 120),
    ]
    page.page.get_by_role("button", name="parse (m.py)").click()
    assert page.point_at(0, 0.5, "#callees")[1].startswith("180 samples")
    assert page.point_at(0, 0.5, "#callers")[1].startswith("180 samples")


def test_the_machine_of_the_tests_is_as_described() -> None:
    samples = machine().samples
    assert sum(sample.count for sample in samples) == 400
    assert sum(time < 10_000 for sample in samples for time in sample.times_ms) == FIRST_HALF


def test_samples_without_times_are_in_no_span_and_told(opened: Opener) -> None:
    root = Root(b"p", 1)
    timed, untimed = Sample(root, frames("f"), 2, times_ms=(10, 500)), Sample(root, frames("g"), 3)
    page = opened(profile_of(timed, untimed))
    assert page.text("#untimed") == "3 samples without a time: in no span"
    assert page.samples() == 5
    page.page.locator("#to").fill("0.4")
    page.page.locator("#to").press("Enter")
    assert page.samples() == 1
