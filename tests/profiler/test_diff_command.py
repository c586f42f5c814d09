"""`pidflame diff`: what it reads, where it writes, and what it says when it can't."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from profiler.cli import main
from profiler.errors import PidflameError
from profiler.profile.model import Profile, Root, Sample
from symbolizers.frame import NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.support.export_samples import profile_of

LANGUAGE = LANGUAGES[0]
Run = Callable[..., tuple[int, str, str]]


def profile(hot: int, *, pid: int, folder: str) -> Profile:
    root = Root(b"server", pid)
    code = Frame(LANGUAGE.name, "main", f"{folder}/app/main.x", 3)
    call = Frame(NATIVE, "sort<int>(int*)", "lib.so")
    samples = Sample(root, (code, call), hot), Sample(root, (code,), 10_000 - hot)
    return replace(profile_of(*samples), duration_s=100.0, frequency_hz=100)


RECORDINGS = {
    "a": profile(1000, pid=1, folder="/srv/one"),
    "b": profile(2000, pid=2, folder="/opt/another"),
    "a2": profile(1010, pid=3, folder="/srv/one"),
    "b2": profile(2010, pid=4, folder="/srv/one"),
    "timeless": replace(profile(1000, pid=1, folder="/srv/one"), duration_s=0.0),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``pidflame diff``; returns exit code, stdout and stderr."""

    def read(path: str) -> Profile:
        if path not in RECORDINGS:
            raise PidflameError(f"{path} is no recording")
        return RECORDINGS[path]

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("profiler.profile.recording.read_profile", read)
        monkeypatch.setattr(sys, "argv", ["pidflame", "diff", *arguments])
        try:
            main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        return code, *capfd.readouterr()

    return run


def test_the_table_goes_to_stdout_without_colours(run: Run) -> None:
    code, out, err = run("a", "b")
    assert (code, err) == (0, "")
    assert "▲  10.00 %  20.00 %" in out
    assert out.splitlines()[-1].startswith("2 of 2 functions changed (1 more, 1 less); ")
    assert "sort<…> (lib.so)" in out
    assert "\x1b" not in out


def test_what_tells_functions_apart_is_asked_for(run: Run) -> None:
    assert "main (app/main.x)" in run("a", "b", "--all")[1]
    assert "sort<int>(int*)" in run("a", "b", "--full-names")[1]
    _, out, _ = run("a", "b", "--full-paths")
    assert "main (/srv/one/app/main.x)" in out
    assert "main (/opt/another/app/main.x)" in out
    assert "1 new" in out


@pytest.mark.parametrize(
    ("name", "begins"),
    [("d.html", "<!doctype html>"), ("d.svg", "<?xml"), ("d.txt", "CPU profile on host")],
)
def test_the_suffix_selects_the_format(run: Run, tmp_path: Path, name: str, begins: str) -> None:
    path = tmp_path / name
    code, out, err = run("a", "b", "-o", str(path))
    assert (code, out) == (0, "")
    assert err.startswith(f"wrote {path}")
    assert "2 of 2 functions changed" in err
    assert path.read_text().startswith(begins)
    if name.endswith(".svg"):
        ElementTree.parse(path)


def test_a_dash_is_the_table(run: Run) -> None:
    code, out, err = run("a", "b", "-o", "-")
    assert code == 0
    assert "sort<…> (lib.so)" in out
    assert err.startswith("2 of 2 functions changed")


def test_a_file_is_not_overwritten_unasked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "d.svg"
    path.write_text("mine")
    code, _, err = run("a", "b", "-o", str(path))
    assert (code, path.read_text()) == (2, "mine")
    assert "--force" in err
    assert run("a", "b", "-o", str(path), "--force")[0] == 0
    assert path.read_text().startswith("<?xml")


def test_an_unknown_suffix_is_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run("a", "b", "-o", str(tmp_path / "d.jpg"))
    assert code == 2
    assert ".svg" in err
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_read_ends_it_and_leaves_no_file(run: Run, tmp_path: Path) -> None:
    code, out, err = run("a", "else", "-o", str(tmp_path / "d.svg"))
    assert (code, out, err) == (1, "", "pidflame: else is no recording\n")
    assert list(tmp_path.iterdir()) == []


def test_several_recordings_a_side(run: Run, tmp_path: Path) -> None:
    code, out, err = run("a", "a2", "--", "b", "b2")
    assert (code, err) == (0, "")
    assert "before: 2 recordings · " in out
    assert "▲  10.05 %  20.05 %" in out
    path = tmp_path / "d.txt"
    assert run("a", "--", "b", "b2", "-o", str(path))[0] == 0  # an option is one behind the dashes, too
    assert "▲  10.00 %  20.05 %" in path.read_text()
    assert run("a", "--", "b")[1] == run("a", "b")[1]


@pytest.mark.parametrize("sides", [["a"], ["a", "a2", "b"], ["a", "--"], ["--", "b"]])
def test_which_recordings_are_of_which_side_has_to_be_said(run: Run, sides: list[str]) -> None:
    code, _, err = run(*sides)
    assert code == 2
    assert "'--'" in err


def test_by_time(run: Run) -> None:
    code, out, _ = run("a", "b", "--by", "time")
    assert code == 0
    assert out.endswith("by time: percentages are of one CPU's time\n")
    code, _, err = run("a", "timeless", "--by", "time")
    assert code == 2
    assert "omit --by time" in err


def test_a_terminal_gets_colours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.commands.diff.may_colour", lambda fd: fd == 1)
    assert "\x1b[31m▲" in run("a", "b")[1]
