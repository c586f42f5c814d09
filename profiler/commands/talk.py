"""What a command says on stderr while it works: how much of it, in which colour, and a line that changes."""

from __future__ import annotations

import os
from contextlib import suppress
from enum import IntEnum
from textwrap import TextWrapper

_STDERR = 2
_SGR = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1"}
"""How a terminal is told to show a text (ECMA-48, select graphic rendition)."""
_USUAL_COLUMNS = 80
_INDENT = "  "
_ECHOED = len("^C")
"""What a terminal may show behind the line that changes."""


class Volume(IntEnum):
    """How much a command says."""

    QUIET = 0
    """Errors, and the paths of what it has written."""
    USUAL = 1
    VERBOSE = 2
    """The steps and their times, too, and what is known of single processes."""


class _Voice:
    """What holds for all that is said. Lifetime: the process, which has one stderr."""

    volume = Volume.USUAL
    status = 0
    """As many characters of a line that changes are on the terminal."""


def set_volume(volume: Volume) -> None:
    """From now on the command says so much."""
    _Voice.volume = volume


def is_heard_by_a_person() -> bool:
    """Whether stderr is a terminal."""
    return os.isatty(_STDERR)


def may_colour(fd: int) -> bool:
    """Whether `fd` may get colours: a terminal may, unless NO_COLOR is set (no-color.org)."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def coloured(text: str, colour: str, fd: int | None = None) -> str:
    """`text` as `fd` (stderr) should show it: in a `colour`, or ``bold``, where it may have one."""
    return f"\x1b[{_SGR[colour]}m{text}\x1b[0m" if may_colour(_STDERR if fd is None else fd) else text


def columns() -> int | None:
    """How many characters a line of the terminal on stderr has; None without one, or if it does not say."""
    try:
        return os.get_terminal_size(_STDERR).columns or None
    except OSError:
        return None


def say(text: str, *, end: str = "\n", at: Volume = Volume.QUIET) -> None:
    """Writes `text` to stderr at once, unless the command is to say less than `at`.

    It may be called from a signal handler. A terminal or a reader that is gone does not end the command:
    there is nobody to tell.
    """
    if _Voice.volume >= at:
        _write(_cleared() + text + end)


def show_status(text: str) -> None:
    """Shows `text` on a terminal, in the place of what was shown so before, until something is said.

    An empty text shows nothing any more.
    """
    if _Voice.volume <= Volume.QUIET or not is_heard_by_a_person():
        return
    text = text[
        : (columns() or _USUAL_COLUMNS) - 1
    ]  # a terminal goes on in the next line, which nothing would clear
    shown, _Voice.status = _Voice.status, len(text)
    _write("\r" + text + " " * (shown - len(text)) + ("\r" if not text else ""))


def say_error(text: str) -> None:
    """Says what went wrong, behind the program's name."""
    _say_as("pidflame:", "red", text, Volume.QUIET)


def say_warning(text: str, *, at: Volume = Volume.USUAL) -> None:
    """Says what a person should know before they trust what was recorded."""
    _say_as("warning:", "yellow", text, at)


def say_note(text: str, *, at: Volume = Volume.USUAL) -> None:
    """Says what is good to know."""
    _say_as("note:", "cyan", text, at)


def _say_as(label: str, colour: str, text: str, at: Volume) -> None:
    """Says `text` behind a coloured label. A terminal gets whole words in each line."""
    lines = f"{label} {text}".splitlines()
    width = columns()
    if width is not None:
        wrap = TextWrapper(width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        # What is indented already is a command to copy.
        lines = [line if line.startswith(_INDENT) else wrap.fill(line) for line in lines]
    said = "\n".join(lines)
    say(coloured(label, colour) + said[len(label) :], at=at)


def _cleared() -> str:
    """What takes the line that changes off the terminal."""
    shown, _Voice.status = _Voice.status, 0
    return "\r" + " " * min(shown + _ECHOED, (columns() or _USUAL_COLUMNS) - 1) + "\r" if shown else ""


def _write(text: str) -> None:
    with suppress(OSError):
        os.write(_STDERR, text.encode(errors="backslashreplace"))
