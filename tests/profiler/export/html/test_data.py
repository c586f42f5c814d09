"""What is in the file: every sample under its texts, and nothing of these that a browser would obey."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import html
from profiler.export.html_data import common_prefix
from profiler.export.text import frame_text, root_text, thread_text, warnings
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Sample, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import NATIVE, Frame
from tests.support.export_samples import ANY_TEXT, SAMPLES, profile_of
from tests.support.page_profiles import machine, many_stacks
from tests.support.page_reader import DATA, PageData
from tests.support.slowness import slowness

EXPORT_CPU_S = 3.0
"""For a million samples over 100,000 stacks."""
NOISE = 2.0
"""How much longer it may take here than on an idle machine."""
ODD_NAMES = (
    "",
    "x" * 10_000,
    "\u202eevil",
    "a\x00\x1b[31m\n",
    "\udcff",
    "a;b",
    "</script><script>alert(1)</script>",
    "<!--",
    "]]>",
    "😀" * 300,
)


def render(profile: Profile) -> str:
    stream = BytesIO()
    html.write(profile, stream)
    return stream.getvalue().decode()


def expected(samples: list[Sample] | tuple[Sample, ...]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for sample in samples:
        thread = [thread_text(sample.thread)] if sample.thread else []
        counts[(root_text(sample.root), *thread, *map(frame_text, sample.frames))] += sample.count
    return counts


@settings(deadline=None)  # each writes 100 kB of page
@given(st.lists(SAMPLES, max_size=8), ANY_TEXT)
def test_every_sample_is_there_under_its_texts(samples: list[Sample], text: str) -> None:
    profile = replace(profile_of(*samples), host=text, command=text, notes=(text,))
    assert PageData(render(profile)).counts() == expected(samples)


def test_odd_names_keep_their_samples() -> None:
    samples = [
        Sample(Root(name.encode("utf-8", "replace")[:15], at + 1), (Frame(NATIVE, name, name),), at + 1)
        for at, name in enumerate(ODD_NAMES)
    ]
    data = PageData(render(profile_of(*samples)))
    assert data.counts() == expected(samples)
    assert sum(data.columns["rowCount"]) == sum(range(len(ODD_NAMES) + 1))


def test_times_are_those_of_the_samples() -> None:
    profile = machine()
    data = PageData(render(profile))
    assert sorted(data.times()) == sorted(sample.times_ms for sample in profile.samples)
    assert list(map(len, data.times())) == data.columns["rowCount"]
    assert data.head["durationMs"] == 20_000


def test_times_of_only_some_of_a_stacks_samples_are_no_times() -> None:
    sample = Sample(Root(b"p", 1), (), 3, times_ms=(1, 2))
    assert PageData(render(profile_of(sample))).times() == [()]


def test_counts_beyond_32_bits_are_whole() -> None:
    sample = Sample(Root(b"p", 1), (), (1 << 63) - 1)
    assert PageData(render(profile_of(sample))).columns["rowCount"] == [(1 << 63) - 1]


@given(st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
def test_the_common_prefix_is_the_longest(common: bytes, one: bytes, other: bytes) -> None:
    length = common_prefix(common + one, common + other)
    assert length >= len(common)
    assert (common + one)[:length] == (common + other)[:length]
    assert (common + one)[length : length + 1] != (common + other)[length : length + 1] or length == min(
        len(common + one), len(common + other)
    )


def test_equal_profiles_make_equal_files() -> None:
    assert render(machine()) == render(machine())


def test_nothing_but_the_two_scripts_and_the_style_is_in_the_file() -> None:
    name = "</script><script>alert(1)</script><style>*{}</style>"
    profile = profile_of(Sample(Root(b"<b>", 1), (Frame(NATIVE, name),), 1))
    text = render(replace(profile, host=name, command=name, notes=(name,)))
    assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 2
    assert len(re.findall("<style", text)) == 1
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "://"):
        assert word not in DATA.sub("", text)
    for word in ("fetch(", "XMLHttp", "@import", "url(", "src=", "href=", "style=", "onclick"):
        assert word not in DATA.sub("", text)


def test_the_policy_forbids_all_but_what_is_in_the_file() -> None:
    text = render(machine())
    policy = re.search('<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules.keys() == {
        *("default-src", "script-src", "style-src", "base-uri", "form-action"),
        *("trusted-types", "require-trusted-types-for"),
    }
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        found = re.search(f"<{tag}>(.*)</{tag}>", text, re.DOTALL)
        assert found
        digest = b64encode(sha256(found[1].encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"


def test_losses_warnings_and_facts_are_there() -> None:
    root, dropped = Root(b"p", 1), {Reason.WOULD_FAULT: 20}
    row = ProcessLosses(root, 120, 100, dropped, "a\nnote", verdict=Verdict(1 / 6, 0.11, 0.24, True))
    losses = Losses(120, 100, dropped, 0, (row,))
    profile = replace(profile_of(Sample(root, (), 100)), losses=losses)
    head = PageData(render(profile)).head
    assert head["warnings"] == warnings(losses)
    assert head["losses"] == [["p (1)", "20 dropped (would_fault 20)", "a\\x0anote"]]
    assert head["processes"][0]["about"] == head["losses"][0][1:]
    assert head["lossy"] is True
    assert ["CPUs", "2"] in head["facts"]


def test_every_kind_has_eight_colours() -> None:
    for kind in PageData(render(machine())).head["kinds"]:
        assert len(set(kind["light"] + kind["dark"])) == 8
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in kind["light"] + kind["dark"])


@pytest.fixture(scope="module")
def million() -> Profile:
    return many_stacks(100_000, 1_000_000)


def test_a_million_samples_take_seconds(million: Profile) -> None:
    took = []
    for _ in range(3):
        started_s = time.process_time()
        html.write(million, stream := BytesIO())
        took.append(time.process_time() - started_s)
    assert min(took) < EXPORT_CPU_S * NOISE * slowness()
    assert len(stream.getvalue()) < 10_000_000
