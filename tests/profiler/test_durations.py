"""Durations as people write them."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.commands.durations import Duration, duration_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("0.5", 0.5), ("1e1", 10), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)),
        *(("1.5h", 5400), (" 1H ", 3600), (".5s", 0.5), ("1m0s", 60), ("1d2h3m4.5s", 93784.5)),
    ],
)
def test_what_is_a_duration(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "0s", "-1", "-1s", "soon", "1h2", "30m1h", "5 m 3", "1m1m", "m", ".", "s", "1x"),
        *("inf", "nan", "1e999", "9" * 400 + "h", "5min", "\u0661h"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(click.BadParameter) as told:
        Duration().convert(text, None, None)
    assert "90s, 5m, 1h30m" in told.value.message
    assert len(told.value.message) < 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (59, "59 s"), (60, "1 m"), (90, "1 m 30 s"), (3600, "1 h"), (90_061, "1 d 1 h 1 m 1 s")],
)
def test_how_one_is_shown(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(1, 10**7))
def test_what_is_shown_can_be_written(seconds: int) -> None:
    assert Duration().convert(duration_text(seconds).replace(" ", ""), None, None) == seconds
