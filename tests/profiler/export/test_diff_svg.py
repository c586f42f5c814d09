"""The differential flame graph, parsed as XML: shape, colours, marks, what its head says, that it is safe."""

from __future__ import annotations

import re
from io import BytesIO
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import diff_svg, svg
from profiler.profile.diff import Basis, Diff, compare
from profiler.profile.model import Losses, Profile, Root, Sample
from symbolizers.errors import Reason
from symbolizers.frame import NATIVE, Frame
from tests.support.export_samples import ANY_TEXT, SAMPLES, profile_of
from tests.support.svg_reader import NS, head_lines, number, title

ROOT = Root(b"p", 1)


def stack(*names: str, count: int) -> Sample:
    return Sample(ROOT, tuple(Frame(NATIVE, name) for name in names), count)


BEFORE = replace(
    profile_of(stack("f", "same", count=500), stack("f", "old", count=200), stack("hot", count=300)),
    command="a command",
)
AFTER = replace(
    profile_of(
        stack("f", "same", count=498),
        stack("f", "rare", count=2),
        stack("hot", count=400),
        stack("new", count=100),
    ),
    command="a command",
)


def draw(diff: Diff) -> ElementTree.Element:
    stream = BytesIO()
    diff_svg.write(diff, stream)
    return ElementTree.fromstring(stream.getvalue())


def boxes(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return picture.findall(f"{NS}svg/{NS}g")


def test_boxes_have_their_mean_width_their_colour_and_their_mark() -> None:
    drawn = boxes(draw(compare(BEFORE, AFTER)))
    found = [(title(box)[0], box.attrib["class"], number(box, "x"), number(box, "width")) for box in drawn]
    assert found == [
        ("all", "noise0", 0, 100),
        ("p", "noise0", 0, 100),
        ("▼ f", "less3", 0, 60),
        ("− old", "gone0", 0, 10),  # noqa: RUF001 - the mark
        ("rare", "noise0", 10, 0.1),
        ("same", "noise0", 10.1, 49.9),
        ("▲ hot", "more3", 60, 35),
        ("+ new", "new0", 95, 5),
    ]
    assert title(drawn[6])[1:] == [
        "more, p < 0.001",
        "30.00 % → 40.00 % · +10.00 (+5.82 to +14.13) points",
        "300 → 400 samples · 300 → 400 self",
    ]


def test_the_picture_of_the_swapped_recordings_has_the_same_shape() -> None:
    forth, back = boxes(draw(compare(BEFORE, AFTER))), boxes(draw(compare(AFTER, BEFORE)))
    for box, turned in zip(forth, back, strict=True):
        assert (box.attrib["data-x"], box.attrib["data-n"]) == (
            turned.attrib["data-x"],
            turned.attrib["data-n"],
        )
    classes = {"gone0": "new0", "new0": "gone0", "more3": "less3", "less3": "more3", "noise0": "noise0"}
    assert [box.attrib["class"] for box in back] == [classes[box.attrib["class"]] for box in forth]


def test_the_head_says_what_was_compared_and_what_was_found() -> None:
    dropped = Losses(1100, 1000, {Reason.STALLED: 100}, 0)
    picture = draw(compare(replace(BEFORE, losses=dropped, event="cycles"), AFTER))
    lines = head_lines(picture)
    assert lines[0] == "a command on host, compared"
    assert lines[1].startswith("before: 2026-11-23 01:07:03+01:00 · 1.0 s at 20 Hz · 1,100 samples")
    assert lines[2].startswith("after: ")
    assert re.match(r"\d of 6 functions changed \(.*\); .*; by samples: ", lines[3])
    assert any(line.startswith("100 and 0 samples have no stack.") for line in lines)
    assert "The recordings count different things: cycles and cpu-clock." in lines
    assert (
        head_lines(draw(compare(BEFORE, replace(AFTER, command="b"))))[0] == "a command on host → b on host"
    )


def test_the_legend_has_what_is_in_the_picture() -> None:
    def legend(diff: Diff) -> list[str | None]:
        return [item.text for item in draw(diff).iterfind(f"{NS}g/{NS}g/{NS}g/{NS}text")]

    assert legend(compare(BEFORE, AFTER)) == ["new", "more", "less", "gone", "chance may explain it"]
    assert legend(compare(BEFORE, BEFORE)) == ["chance may explain it"]


def test_every_class_has_a_colour_in_light_and_dark() -> None:
    css = svg.style_sheet(()) + svg.asset("diff.css")
    names = [
        "noise0",
        "doubtful0",
        "new0",
        "gone0",
        *(f"{way}{n}" for way in ("more", "less") for n in range(4)),
    ]
    for name in names:
        assert len(set(re.findall(rf"\.{name} rect {{ fill: (#[0-9a-f]{{6}}); }}", css))) == 2


def test_recordings_without_samples_say_so() -> None:
    picture = draw(compare(profile_of(), profile_of()))
    assert picture.findtext(f"{NS}svg/{NS}text") == svg.NONE_RECORDED
    assert boxes(picture) == []


def test_too_narrow_boxes_are_counted() -> None:
    diff = compare(
        profile_of(stack("f", count=40_000)), profile_of(stack("f", count=40_000), stack("g", count=1))
    )
    picture = draw(diff)
    assert [title(box)[0] for box in boxes(picture)] == ["all", "p", "f"]
    assert "The picture leaves out 1 frame too narrow to see." in head_lines(picture)


@settings(deadline=None)
@given(
    st.lists(SAMPLES, min_size=1, max_size=5),
    st.lists(SAMPLES, min_size=1, max_size=5),
    ANY_TEXT,
    st.sampled_from(Basis),
)
def test_any_names_make_well_formed_xml(
    before: list[Sample], after: list[Sample], text: str, by: Basis
) -> None:
    def named(samples: list[Sample]) -> Profile:
        return replace(profile_of(*samples), host=text, command=text, event=text, started_at=text)

    diff = compare(named(before), named(after), by)
    drawn = boxes(draw(diff))
    assert len(drawn) <= len(diff.nodes)
    for box in drawn:
        assert len(title(box)) == 4
        assert 0 <= number(box, "x") <= number(box, "x") + number(box, "width") <= 100.001


def test_a_name_that_is_markup_shows_as_text() -> None:
    name = "a;b\n<script>alert(1)</script>]]>"
    picture = draw(compare(profile_of(stack(name, count=1)), profile_of(stack(name, count=1))))
    assert title(boxes(picture)[2])[0] == "a:b\\x0a<script>alert(1)</script>]]>"
    assert len(list(picture.iter(f"{NS}script"))) == 1
