"""The line on a terminal while a recording goes on."""

from __future__ import annotations

import pytest

from profiler.commands import progress as module
from profiler.commands.progress import progress_line
from profiler.run.accounts import HotProgram
from profiler.run.session import Progress


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(module, "is_heard_by_a_person", lambda: True)
    monkeypatch.setattr(module, "show_status", lines.append)
    return lines


def test_it_says_what_is_hot_meanwhile(shown: list[str]) -> None:
    show = progress_line(90)
    assert show is not None
    show(Progress(0.0, 0, lambda: None))
    show(Progress(61.9, 34_861, lambda: HotProgram(b"py\x1b3", 40, 0.615)))
    show(Progress(62.5, 34_900, lambda: HotProgram(b"sh", 1, 1.0), is_over=True))
    assert shown == [
        "recording: 0 s of 1 m 30 s, 0 samples ",
        "recording: 1 m 1 s of 1 m 30 s, 34,861 samples, 62 % in py\\x1b3 × 40 ",
        "naming 34,900 samples …",
    ]


def test_it_looks_a_few_times_a_second_and_no_more_often(shown: list[str]) -> None:
    show = progress_line(None)
    assert show is not None
    looks = []

    def hottest() -> HotProgram:
        looks.append(1)
        return HotProgram(b"sh", 1, 1.0)

    for hundredth in range(101):
        show(Progress(hundredth / 100, hundredth, hottest))
    assert len(shown) == len(looks) == 5
    assert shown[-1] == "recording: 1 s, 100 samples, 100 % in sh, Ctrl-C ends "


def test_there_is_none_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_heard_by_a_person", lambda: False)
    assert progress_line(1.0) is None
