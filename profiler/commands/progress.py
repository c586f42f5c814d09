"""What a recording says while it goes on: a line on a terminal, and with --verbose the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from profiler.commands.durations import duration_text
from profiler.commands.talk import Volume, is_heard_by_a_person, say, show_status
from profiler.profile.model import Root

if TYPE_CHECKING:
    from profiler.run.session import Progress

_EVERY_S = 0.25


def progress_line(duration_s: float | None) -> Callable[[Progress], None] | None:
    """Shows one line that changes, on a terminal; None elsewhere."""
    if not is_heard_by_a_person():
        return None
    of = "" if duration_s is None else f" of {duration_text(duration_s)}"
    end = "" if duration_s is not None else ", Ctrl-C ends"
    shown_s = -math.inf

    def show(progress: Progress) -> None:
        nonlocal shown_s
        if progress.is_over:
            show_status(f"naming {progress.samples:,} samples …")
        elif progress.elapsed_s - shown_s >= _EVERY_S:
            shown_s = progress.elapsed_s
            elapsed = duration_text(math.floor(progress.elapsed_s))
            show_status(f"recording: {elapsed}{of}, {progress.samples:,} samples{_hottest(progress)}{end} ")

    return show


def _hottest(progress: Progress) -> str:
    hot = progress.hottest()
    if hot is None:
        return ""
    from profiler.export.text import root_name  # here: no sample waits for it

    name = root_name(Root(hot.comm, 0))
    return f", {100 * hot.share:.0f} % in {name}" + (f" × {hot.processes:,}" if hot.processes > 1 else "")


def say_step(name: str, took_s: float) -> None:
    """With --verbose, says that a step is over, and how long it took."""
    say(f"{took_s:7.3f} s  {name}", at=Volume.VERBOSE)
