"""What a command says on stderr while it works."""

from __future__ import annotations

import os
from contextlib import suppress

_STDERR = 2


def is_heard_by_a_person() -> bool:
    """Whether stderr is a terminal."""
    return os.isatty(_STDERR)


def say(text: str, *, end: str = "\n") -> None:
    """Writes `text` to stderr at once; may be called from a signal handler.

    A terminal or a reader that is gone does not end the command: there is nobody to tell.
    """
    with suppress(OSError):
        os.write(_STDERR, (text + end).encode(errors="backslashreplace"))
