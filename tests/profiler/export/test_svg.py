"""The flame graph's structure, parsed as XML: what it says, where it puts frames, that it is safe."""

from __future__ import annotations

import re
import time
from io import BytesIO
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import svg
from profiler.export.svg_head import LINE_CHARACTERS, TITLE_CHARACTERS
from profiler.export.text import losses_text, warnings
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Sample, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import KERNEL, NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.support.export_samples import ANY_TEXT, KINDS, SAMPLES, profile_of
from tests.support.slowness import slowness
from tests.support.svg_reader import NS, head_lines, number, title


def draw(profile: Profile) -> ElementTree.Element:
    stream = BytesIO()
    svg.write(profile, stream)
    return ElementTree.fromstring(stream.getvalue())


def boxes(picture: ElementTree.Element) -> list[ElementTree.Element]:
    """Those that are shown at first, in order."""
    found = []
    for element in picture.findall(f"{NS}svg/{NS}g"):
        if element.get("class") != "by-process":
            found += element.findall(f"{NS}g") if element.get("class") == "by-program" else [element]
    return found


def opened(picture: ElementTree.Element) -> list[ElementTree.Element]:
    """Those that are shown when programs are opened, without the rest."""
    return picture.findall(f"{NS}svg/{NS}g[@class='by-process']/{NS}g")


def native(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(NATIVE, name) for name in names)


def test_callers_above_callees_below_functions_by_name_and_processes_by_size() -> None:
    picture = draw(
        profile_of(
            Sample(Root(b"a", 10), native("f", "z"), 3),
            Sample(Root(b"a", 10), native("f", "a"), 4),
            Sample(Root(b"a", 10), native("f"), 1),
            Sample(Root(b"b", 9), native("g"), 24),
        )
    )
    drawn = boxes(picture)
    assert [title(box)[0] for box in drawn] == ["all", "b (9)", "g", "a (10)", "f", "a", "z"]
    assert [number(box, "y") / svg.ROW_PX for box in drawn] == [0, 1, 2, 1, 2, 3, 3]
    assert [number(box, "x") for box in drawn] == [0, 0, 0, 75, 75, 75, 87.5]
    assert [number(box, "width") for box in drawn] == [100, 75, 75, 25, 25, 12.5, 9.375]
    assert [box.attrib["data-x"] for box in drawn] == ["0", "0", "0", "24", "24", "24", "28"]
    assert [box.attrib["data-n"] for box in drawn] == ["32", "24", "24", "8", "8", "4", "3"]
    assert opened(picture) == []


def test_a_box_tells_its_share_its_own_samples_and_how_sure_that_is() -> None:
    picture = draw(profile_of(Sample(Root(b"p", 1), native("f", "g"), 1999), Sample(Root(b"p", 1), (), 1)))
    assert [title(box)[1:] for box in boxes(picture)] == [
        ["2,000 samples (100 s) · 100 % of all"],
        [
            "2,000 samples (100 s) · 100 % of all",
            "self: 1 sample (0.05 s) · 0.05 % of all (95 % sure: 0.01 to 0.28)",
        ],
        ["1,999 samples (99.95 s) · 99.95 % of all (95 % sure: 99.72 to 99.99)"],
        [
            "1,999 samples (99.95 s) · 99.95 % of all (95 % sure: 99.72 to 99.99)",
            "self: all of them",
        ],
    ]


def test_processes_of_one_program_are_one_box_that_opens_into_them() -> None:
    picture = draw(
        profile_of(
            Sample(Root(b"job", 10), native("f"), 1),
            Sample(Root(b"lone", 7), native("f"), 10),
            Sample(Root(b"job", 11), native("f", "g"), 4),
            Sample(Root(b"job", 0, 38), native("f"), 15),
        )
    )
    assert [title(box)[0] for box in boxes(picture)] == ["all", "job × 40", "f", "g", "lone (7)", "f"]
    assert [box.attrib["data-n"] for box in boxes(picture)] == ["30", "20", "20", "4", "10", "10"]
    apart = opened(picture)
    assert [title(box)[0] for box in apart] == ["job (38 ended)", "f", "job (11)", "f", "g", "job (10)", "f"]
    assert [number(box, "y") / svg.ROW_PX for box in apart] == [2, 3, 2, 3, 4, 2, 3]
    assert [box.attrib["data-x"] for box in apart] == ["0", "0", "15", "15", "15", "19", "19"]
    assert [box.attrib["data-n"] for box in apart] == ["15", "15", "4", "4", "4", "1", "1"]


def test_what_stands_on_a_program_lies_over_it_wherever_that_is() -> None:
    """A program with one process, which isn't opened, is between two that are."""
    samples = [
        Sample(Root(name, pid), native("f"), count)
        for name, pid, count in ((b"a", 1, 20), (b"a", 2, 20), (b"b", 3, 30), (b"c", 4, 8), (b"c", 5, 2))
    ]
    apart = opened(draw(profile_of(*samples)))
    assert [(title(box)[0], box.attrib["data-x"]) for box in apart[::2]] == [
        ("a (1)", "0"),
        ("a (2)", "20"),
        ("c (4)", "70"),
        ("c (5)", "78"),
    ]


def test_narrow_stacks_set_no_height() -> None:
    samples = [
        Sample(Root(b"p", 1), native("f"), 4000),
        Sample(Root(b"p", 1), native(*(f"d{depth}" for depth in range(100))), 1),
    ]
    picture = draw(profile_of(*samples))
    graph = picture.find(f"{NS}svg")
    assert graph is not None
    assert float(graph.attrib["height"]) == 3 * svg.ROW_PX
    assert len(boxes(picture)) == 103


def test_equal_text_in_the_same_place_is_one_box() -> None:
    picture = draw(
        profile_of(
            Sample(Root(b"p", 1), native("x;y"), 1),
            Sample(Root(b"p", 1), native("x:y"), 2),
        )
    )
    assert [title(box)[0] for box in boxes(picture)] == ["all", "p (1)", "x:y"]
    assert boxes(picture)[2].attrib["data-n"] == "3"


def test_the_head_says_what_was_recorded_and_what_was_lost() -> None:
    profile = replace(
        profile_of(Sample(Root(b"p", 1), (), 3990)),
        losses=Losses(4012, 3990, {Reason.WOULD_FAULT: 20, Reason.EXITED: 2}, 7),
        command="whole system",
        duration_s=30.04,
        notes=("a note & <b>", "second\nnote"),
    )
    picture = draw(profile)
    assert picture.findtext(f"{NS}title") == "whole system on host"
    assert head_lines(picture)[:5] == [
        "whole system on host",
        "2026-11-23 01:07:03+01:00 · 30.0 s at 20 Hz · 2 CPUs · cpu-clock",
        "4,012 samples · 3,990 symbolized · 22 dropped (would_fault 20, exited 2) · 7 lost",
        "a note & <b>",
        "second\\x0anote",
    ]


def test_a_loss_that_matters_is_told_in_the_head() -> None:
    root, dropped = Root(b"p", 1), {Reason.WOULD_FAULT: 20}
    row = ProcessLosses(root, 120, 100, dropped, verdict=Verdict(1 / 6, 0.11, 0.24, True))
    losses = Losses(120, 100, dropped, 0, (row,))
    picture = draw(replace(profile_of(Sample(root, (), 100)), losses=losses, notes=("a note",)))
    (warning,) = warnings(losses)
    assert head_lines(picture)[3:5] == [f"warning: {warning}", "a note"]


@pytest.mark.parametrize(("count", "rest"), [(6, ["note 5"]), (7, ["and 2 more notes"])])
def test_notes_do_not_fill_the_picture(count: int, rest: list[str]) -> None:
    profile = profile_of(Sample(Root(b"p", 1), native("main"), 1))
    picture = draw(replace(profile, notes=tuple(f"note {i}" for i in range(count))))
    assert head_lines(picture)[3:-1] == [f"note {i}" for i in range(5)] + rest


def test_a_long_title_and_long_lines_are_wrapped() -> None:
    profile = profile_of(Sample(Root(b"p", 1), native("main"), 1))
    words = " ".join(f"word{number}" for number in range(60))
    picture = draw(replace(profile, command=words, notes=(words,)))
    texts = picture.findall(f"{NS}g/{NS}text")
    for text, characters in ((texts[0], TITLE_CHARACTERS), (texts[3], LINE_CHARACTERS)):
        lines = [text.text or "", *(line.text or "" for line in text.findall(f"{NS}tspan"))]
        assert len(lines) > 2
        assert max(map(len, lines)) <= characters
    assert "".join(texts[3].itertext()) == words
    assert picture.findtext(f"{NS}title") == f"{words} on host"


def lost_notes(box: ElementTree.Element) -> list[str]:
    return [line for line in title(box)[2:] if not line.startswith("self: ")]


def test_a_process_tells_its_own_losses() -> None:
    root = Root(b"p;", 1)
    losses = ProcessLosses(root, 9, 8, {Reason.STALLED: 1}, "Python 2.5 is\nnot supported")
    profile = profile_of(Sample(root, native("p: (1)"), 8))
    profile = replace(profile, losses=replace(profile.losses, per_process=(losses,)))
    assert [lost_notes(box) for box in boxes(draw(profile))] == [
        [],
        ["1 dropped (stalled 1)", "Python 2.5 is\\x0anot supported"],
        [],
    ]


def test_a_program_tells_the_losses_of_its_processes() -> None:
    roots = [Root(b"p", pid) for pid in range(1, 7)]
    rows = [
        ProcessLosses(root, 9, 8, {Reason.STALLED: 1}, f"note {max(root.pid, 3)}", partial={Reason.EXITED: 2})
        for root in roots
    ]
    profile = profile_of(*(Sample(root, native("f"), 8) for root in roots))
    picture = draw(replace(profile, losses=replace(profile.losses, per_process=tuple(rows))))
    assert [lost_notes(box) for box in boxes(picture)] == [
        [],
        [
            *("12 partial (exited 12)", "6 dropped (stalled 6)"),
            *("note 3", "note 4", "note 5", "and 1 more notes on its processes"),
        ],
        [],
    ]
    assert lost_notes(opened(picture)[0]) == ["2 partial (exited 2)", "1 dropped (stalled 1)", "note 3"]


def test_the_legend_names_the_kinds_that_are_there() -> None:
    frames = (Frame("python", "f", "m.py", 1), Frame(KERNEL, "k"))
    picture = draw(profile_of(Sample(Root(b"p", 1), frames, 1)))
    assert [item.text for item in picture.iterfind(f"{NS}g/{NS}g/{NS}g/{NS}text")] == [
        "process",
        "Python",
        "kernel",
    ]
    assert [re.sub(r"\d", "", box.attrib["class"]) for box in boxes(picture)] == [
        "process",
        "process",
        "python",
        "kernel",
    ]


def test_every_kind_and_shade_has_a_colour_in_light_and_dark() -> None:
    samples = [Sample(Root(b"p", 1), (Frame(kind, f"a {kind}"),), 1) for kind in KINDS]
    stream = BytesIO()
    svg.write(profile_of(*samples), stream)
    css = stream.getvalue().decode()
    assert "languages, " not in css
    for kind in ("process", *KINDS):
        colours = re.findall(rf"\.{kind}(\d) rect {{ fill: (#[0-9a-f]{{6}}); }}", css)
        assert [int(shade) for shade, _ in colours] == [*range(svg.SHADES)] * 2
        assert len({colour for _, colour in colours}) == 2 * svg.SHADES


def test_a_language_that_is_not_in_the_picture_has_no_colours() -> None:
    stream = BytesIO()
    svg.write(profile_of(Sample(Root(b"p", 1), native("f"), 1)), stream)
    css = stream.getvalue().decode()
    assert ".native3 rect" in css
    assert not [language.name for language in LANGUAGES if f".{language.name}0" in css]


@pytest.mark.parametrize(("dropped", "says"), [(0, svg.NONE_RECORDED), (5, svg.NONE_SYMBOLIZED)])
def test_an_empty_picture_says_why(dropped: int, says: str) -> None:
    losses = Losses(dropped, 0, {Reason.STALLED: dropped}, 0)
    picture = draw(replace(profile_of(), losses=losses))
    assert picture.findtext(f"{NS}svg/{NS}text") == says
    assert losses_text(losses) in head_lines(picture)
    assert boxes(picture) == []
    assert picture.find(f"{NS}script") is None


def test_too_narrow_frames_are_counted_and_stay_in_the_total() -> None:
    many = 40_000
    picture = draw(
        profile_of(
            Sample(Root(b"big", 1), native("f"), many),
            Sample(Root(b"big", 1), native("f", "tiny", "tinier"), 1),
            Sample(Root(b"small", 2), (), 1),
        )
    )
    assert [title(box)[0] for box in boxes(picture)] == ["all", "big (1)", "f"]
    assert [box.attrib["data-n"] for box in boxes(picture)] == ["40002", "40001", "40001"]
    left_out = "The picture leaves out 3 frames too narrow to see; the totals include them."
    assert left_out in head_lines(picture)


def test_labels_fit_their_boxes() -> None:
    long_name, wide_name = "n" * 500, "数" * 500
    picture = draw(
        profile_of(
            Sample(Root(b"p", 1), native(long_name), 50),
            Sample(Root(b"p", 1), native(wide_name), 50),
            Sample(Root(b"p", 1), native("short"), 899),
            Sample(Root(b"p", 1), native("unseen"), 1),
        )
    )
    labels = {title(box)[0]: box.findtext(f"{NS}text") for box in boxes(picture)}
    cells = int((svg.GRAPH_WIDTH_PX / 21 - 2 * svg.LABEL_INSET_PX) / svg.CELL_PX)
    assert cells == 6
    assert labels[long_name] == "nnnnn…"
    assert labels[wide_name] is None
    assert labels["short"] == "short"
    assert labels["unseen"] is None


def test_deep_stacks_are_drawn_whole() -> None:
    depth = 5000
    picture = draw(profile_of(Sample(Root(b"p", 1), native(*(f"f{i}" for i in range(depth))), 1)))
    drawn = boxes(picture)
    assert len(drawn) == depth + 2
    assert number(drawn[0], "y") == 0
    assert number(drawn[-1], "y") == (depth + 1) * svg.ROW_PX
    assert float(picture.attrib["height"]) > (depth + 2) * svg.ROW_PX


def test_size_and_time_are_linear_in_boxes() -> None:
    samples = [
        Sample(Root(b"python3", 100 + i % 5), native(*(f"some::function_{i}_{j}" for j in range(10))), 1)
        for i in range(500)
    ]
    started_s = time.process_time()
    stream = BytesIO()
    svg.write(profile_of(*samples), stream)
    assert time.process_time() - started_s < 2 * slowness()
    assert stream.getvalue().count(b"<title>") > 2 * 5000  # merged, and by process
    assert len(stream.getvalue()) < 2 * 1_000_000


def test_names_are_text_and_nothing_else() -> None:
    name = "a;b\n<script>alert(1)</script>]]><!--&amp;\"'"
    profile = replace(
        profile_of(Sample(Root(b"<x>&", 1), native(name), 1)),
        host=name,
        command=name,
        event=name,
        started_at=name,
        notes=(name,),
    )
    picture = draw(profile)
    shown = "a:b\\x0a<script>alert(1)</script>]]><!--&amp:\"'"
    assert title(boxes(picture)[2])[0] == shown
    assert len(list(picture.iter(f"{NS}script"))) == 1


def test_the_file_needs_nothing_from_outside_and_evaluates_nothing() -> None:
    stream = BytesIO()
    svg.write(profile_of(Sample(Root(b"p", 1), (), 1)), stream)
    text = stream.getvalue().decode()
    addresses = set(re.findall(r"\w+://[^\"'\s]+", text))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    for word in ("href", "@import", "url(", "eval(", "Function(", "innerHTML", "fetch(", "XMLHttp"):
        assert word not in text


@given(st.lists(SAMPLES, min_size=1, max_size=6), ANY_TEXT, st.lists(ANY_TEXT, max_size=3))
def test_any_names_make_well_formed_xml_with_true_counts(
    samples: list[Sample], text: str, notes: list[str]
) -> None:
    profile = replace(profile_of(*samples), host=text, command=text, notes=tuple(notes))
    drawing = draw(profile)
    drawn = boxes(drawing)
    assert int(drawn[0].attrib["data-n"]) == sum(sample.count for sample in samples)
    for box in drawn + opened(drawing):
        assert lost_notes(box) == []
        assert 0 <= number(box, "x") <= number(box, "x") + number(box, "width") <= 100.001
