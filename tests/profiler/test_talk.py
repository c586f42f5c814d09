"""What is said on stderr: how much of it, in which colour, and around a line that changes."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Callable, Iterator

import pytest

from profiler.commands import talk
from profiler.commands.talk import (
    Volume,
    coloured,
    say,
    say_error,
    say_note,
    say_warning,
    set_volume,
    show_status,
)
from tests.support.live.harness import read_terminal

COLUMNS = 30


@pytest.fixture(autouse=True)
def _usual_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk._Voice, "volume", Volume.USUAL)
    monkeypatch.setattr(talk._Voice, "status", 0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Stderr is a terminal of `COLUMNS`; gives what was said on it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, COLUMNS)) if hasattr(termios, "tcsetwinsize") else _resize(theirs)
    monkeypatch.setattr(talk, "_STDERR", theirs)

    def said() -> str:
        os.write(theirs, b"\0")
        text = ""
        while not text.endswith("\0"):
            text += read_terminal(ours)
        return text[:-1].replace("\r\n", "\n")

    yield said
    os.close(ours)
    os.close(theirs)


def _resize(fd: int) -> None:
    import fcntl
    import struct

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))


def shown(text: str) -> str:
    """What a line of a terminal shows after `text`."""
    line = ""
    for part in text.split("\r"):
        line = part + line[len(part) :]
    return line.rstrip()


def test_labels_have_colours_on_a_terminal_alone(
    terminal: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say_warning("one")
    assert terminal() == "\x1b[33mwarning:\x1b[0m one\n"
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            say_note("two")
            assert terminal() == "note: two\n"
    monkeypatch.setenv("NO_COLOR", "")  # empty counts as not set
    say_error("three")
    assert terminal() == "\x1b[31mpidflame:\x1b[0m three\n"
    reader, writer = os.pipe()
    assert coloured("text", "red", writer) == "text"
    os.close(reader)
    os.close(writer)


def test_a_terminal_gets_whole_words_and_commands_in_one_piece(
    terminal: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    command = "  sudo pidflame record --duration 10 --frequency 100"
    say_error(f"it lacks something that it needs here:\n{command}")
    lines = terminal().splitlines()
    assert lines == ["pidflame: it lacks something", "  that it needs here:", command]
    assert all(len(line) <= COLUMNS for line in lines[:2])


@pytest.mark.parametrize(
    ("volume", "heard"),
    [(Volume.QUIET, "e p"), (Volume.USUAL, "e p u w n"), (Volume.VERBOSE, "e p u w n v")],
)
def test_how_much_is_said(volume: Volume, heard: str, capfd: pytest.CaptureFixture[str]) -> None:
    set_volume(volume)
    say_error("e")
    say("p")
    say("u", at=Volume.USUAL)
    say_warning("w")
    say_note("n")
    say("v", at=Volume.VERBOSE)
    assert " ".join(line[-1] for line in capfd.readouterr().err.splitlines()) == heard


def test_what_is_said_takes_the_place_of_the_line_that_changes(terminal: Callable[[], str]) -> None:
    show_status("recording: 1 s")
    assert shown(terminal()) == "recording: 1 s"
    show_status("naming")
    assert shown("recording: 1 s" + terminal()) == "naming"
    say("done")
    before, after, rest = ("naming^C" + terminal()).partition("done")
    assert (shown(before), after, rest) == ("", "done", "\n")
    say("more")
    assert terminal() == "more\n"


def test_the_line_that_changes_stays_one_line(terminal: Callable[[], str]) -> None:
    show_status("x" * 3 * COLUMNS)
    assert shown(terminal()) == "x" * (COLUMNS - 1)
    show_status("")
    assert shown("x" * (COLUMNS - 1) + terminal()) == ""


def test_no_line_changes_where_nobody_looks(
    terminal: Callable[[], str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_volume(Volume.QUIET)
    show_status("recording")
    assert terminal() == ""
    set_volume(Volume.USUAL)
    monkeypatch.setattr(talk, "_STDERR", 2)
    show_status("recording")
    assert capfd.readouterr().err == ""
