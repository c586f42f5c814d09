"""The data in the page of a comparison: every function, place and difference, under any names."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import diff_html
from profiler.export.diff_html_data import FRACTION
from profiler.export.diff_text import MARKS, level_text
from profiler.export.text import frame_text
from profiler.profile.diff import Basis, Diff, Difference, compare, verdict_of
from profiler.profile.model import Profile, Sample
from tests.support.export_samples import DETAILED_SAMPLES, ODD_TEXT, profile_of
from tests.support.page_reader import PageData


def render(diff: Diff) -> str:
    stream = BytesIO()
    diff_html.write(diff, stream)
    return stream.getvalue().decode()


class Page:
    def __init__(self, diff: Diff) -> None:
        self.data = PageData(render(diff))
        self.unit = diff.unit

    def column(self, name: str) -> Sequence[int]:
        return self.data.columns[name]

    def difference(self, number: int) -> tuple[object, ...]:
        """Counts, the ends of the interval as the columns have them, p, and the verdict."""
        names = ("Before", "After", "Low", "High", "P")
        verdict = self.data.head["verdicts"][self.column("differenceVerdict")[number]]
        return *(self.column(f"difference{name}")[number] for name in names), verdict["name"]

    def expected(self, each: Difference) -> tuple[object, ...]:
        parts = (each.low / self.unit + 1, each.high / self.unit + 1, each.p)
        return each.before, each.after, *(round(part * FRACTION) for part in parts), each.verdict.value


@settings(deadline=None, max_examples=50)  # each writes 60 kB of page
@given(
    st.lists(DETAILED_SAMPLES, max_size=5),
    st.lists(DETAILED_SAMPLES, max_size=5),
    ODD_TEXT,
    st.sampled_from(Basis),
)
def test_all_of_it_is_there_under_any_names(
    before: list[Sample], after: list[Sample], text: str, by: Basis
) -> None:
    def named(samples: list[Sample]) -> Profile:
        return replace(profile_of(*samples), host=text, command=text, event=text, notes=(text,))

    diff = compare(named(before), named(after), by)
    page = Page(diff)
    functions = [
        (
            text,
            page.difference(page.column("functionOwn")[number]),
            page.difference(page.column("functionTotal")[number]),
            page.data.head["verdicts"][page.column("functionVerdict")[number]]["name"],
        )
        for number, text in enumerate(page.data.head["functions"])
    ]
    assert page.data.head["unit"] == diff.unit
    assert functions == [
        (
            frame_text(each.function),
            page.expected(each.own),
            page.expected(each.total),
            verdict_of(each).value,
        )
        for each in diff.functions
    ]
    labels = [*page.data.head["functions"], *page.data.head["programs"], "all"]
    nodes = [
        (
            labels[page.column("nodeLabel")[number]],
            page.column("nodeCaller")[number],
            page.difference(page.column("nodeDifference")[number]),
            (page.column("nodeOwnBefore")[number], page.column("nodeOwnAfter")[number]),
        )
        for number in range(len(page.column("nodeLabel")))
    ]
    assert nodes == [
        (level_text(node.level), max(node.parent, 0), page.expected(node.total), node.own)
        for node in diff.nodes
    ]
    assert all(caller < number for number, caller in enumerate(page.column("nodeCaller")) if number)


def test_equal_comparisons_give_equal_bytes() -> None:
    pages = [render(compare(profile_of(), profile_of())) for _ in range(2)]
    assert all(one == other for one, other in pairwise(pages))


def test_changes_come_first_and_every_verdict_has_four_colours_in_light_and_dark() -> None:
    verdicts = Page(compare(profile_of(), profile_of())).data.head["verdicts"]
    assert [verdict["name"] for verdict in verdicts] == [change.value for change in MARKS]
    for verdict in verdicts:
        assert (len(verdict["light"]), len(verdict["dark"])) == (4, 4)
        assert set(verdict["light"]).isdisjoint(verdict["dark"])
