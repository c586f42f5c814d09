"""What a finished recording says on stderr: first what it has found, and last what it has lost."""

from __future__ import annotations

from profiler.commands.talk import Volume, coloured, columns, say, say_note, say_warning
from profiler.export.hottest import hottest_lines
from profiler.export.stats import summary
from profiler.export.text import NO_SAMPLE, printable, root_text, warnings
from profiler.profile.model import Profile

_SHOWN_FUNCTIONS = 3
_INDENT = "  "
_LONGEST_LINE = 100


def say_findings(profile: Profile) -> None:
    """The notes, and the functions in which most of the time went."""
    for row in profile.losses.per_process:
        if row.note:
            say_note(f"{root_text(row.root)}: {printable(row.note)}", at=Volume.VERBOSE)
    for note in profile.notes:
        say_note(printable(note))
    width = min(columns() or _LONGEST_LINE, _LONGEST_LINE) - len(_INDENT)
    lines = hottest_lines(profile.samples, _SHOWN_FUNCTIONS, width)
    if lines:
        say(coloured("hottest functions, by their own share of the samples:", "bold"), at=Volume.USUAL)
    for line in lines:
        say(_INDENT + line, at=Volume.USUAL)


def say_losses(profile: Profile) -> None:
    """The losses that matter; and, as the last line, what became of every sample."""
    if profile.profiler_cpu_s:
        share = profile.profiler_cpu_s / profile.duration_s if profile.duration_s else 0.0
        say(
            f"pidflame itself took {profile.profiler_cpu_s:.2f} s of CPU time ({100 * share:.1f} % of a CPU)"
            f" and {profile.profiler_max_rss_bytes / 1e6:.0f} MB",
            at=Volume.VERBOSE,
        )
    for warning in warnings(profile.losses):
        # Then there is nothing in the files, which is as good as an error.
        say_warning(warning, at=Volume.QUIET if warning == NO_SAMPLE else Volume.USUAL)
    say(summary(profile.losses), at=Volume.USUAL)
