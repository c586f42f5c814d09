"""Which format a file gets, and that every format in the list keeps the list's promises."""

from __future__ import annotations

from io import BytesIO

import pytest

from profiler.export.registry import FORMATS, Format, UnknownFormat, format_for
from profiler.profile.model import Losses, Profile

EMPTY = Profile((), Losses(0, 0, {}, 0), "host", "2026-11-23T01:07:03+01:00", 1.0, 20, 2)


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("out.svg", None, "svg"),
        ("/tmp/a.b/OUT.SVG", None, "svg"),
        ("x.folded", None, "folded"),
        ("x.folded", "svg", "svg"),
        ("-", "folded", "folded"),
        ("x.speedscope.json", None, "speedscope"),
        ("/tmp/a.svg/X.Speedscope.JSON", None, "speedscope"),
        ("x.y.pb.gz", None, "pprof"),
        ("x.pprof", None, "pprof"),
        ("x.json.gz", None, "firefox"),
        ("x.speedscope.json.gz", None, "firefox"),
        ("x.otlp", None, "otlp"),
        ("x.json", "speedscope", "speedscope"),
    ],
)
def test_the_suffix_decides_and_a_name_wins(path: str, name: str | None, found: str) -> None:
    assert format_for(path, name).name == found


@pytest.mark.parametrize(
    ("path", "name", "asked"),
    [
        ("out.png", None, "out.png"),
        ("svg", None, "svg"),
        ("-", None, "-"),
        ("out.svg", "pdf", "pdf"),
        ("x.gz", None, "x.gz"),
        ("x.json", None, "x.json"),
        ("xpb.gz", None, "xpb.gz"),
        (".pb.gz", None, ".pb.gz"),
    ],
)
def test_an_unknown_format_is_told_with_those_known(path: str, name: str | None, asked: str) -> None:
    with pytest.raises(UnknownFormat) as raised:
        format_for(path, name)
    assert raised.value.asked == asked
    message = str(raised.value)
    assert repr(asked) in message
    assert all(known.name in message and known.suffixes[0] in message for known in FORMATS)


def test_of_two_suffixes_that_fit_the_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [
        Format(suffix, (suffix,), lambda profile, stream: None) for suffix in (".gz", ".b.gz", ".a.b.gz")
    ]
    for formats in (known, known[::-1]):
        monkeypatch.setattr("profiler.export.registry.ALL", tuple(formats))
        assert [format_for(path).name for path in ("x.gz", "x.b.gz", "x.a.b.gz", "x.c.b.gz")] == [
            ".gz",
            ".b.gz",
            ".a.b.gz",
            ".b.gz",
        ]


def test_names_and_suffixes_are_unique() -> None:
    names = [known.name for known in FORMATS]
    suffixes = [suffix for known in FORMATS for suffix in known.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_takes_an_empty_profile_and_leaves_the_stream_open(known: Format) -> None:
    stream = BytesIO()
    known.write(EMPTY, stream)
    assert not stream.closed
