"""`pidflame diff`: compares recordings, and says which differences are real."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import click

from profiler.commands.output_file import NamedFile, open_destination
from profiler.commands.talk import Volume, may_colour, say, say_note
from profiler.commands.usage import Command, Example, option, volume_options
from profiler.errors import PidflameError, UsageError
from profiler.export.diff_formats import diff_writer

if TYPE_CHECKING:
    from profiler.profile.diff import Diff
    from profiler.profile.model import Profile

_STDOUT = 1
_BETWEEN = "\0"

EXAMPLES = (
    Example("pidflame diff before.pidflame after.pidflame", "the functions that differ, as a table"),
    Example("pidflame diff before.pidflame after.pidflame -o diff.html", "a page: flame graph and table"),
    Example("pidflame diff before*.pidflame -- after*.pidflame", "several a side: do runs vary as much?"),
    Example("pidflame diff before.pidflame after.pidflame --by time", "CPU time instead of shares"),
)


class _Recording(click.Path):
    """A file, or what is between two sides."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """As in click."""
        return value if value == _BETWEEN else super().convert(value, param, ctx)


class _Command(Command):
    """A command whose ``--`` is between the arguments of two sides, and ends no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As in click; the first ``--`` is an argument, of a text that no argument can be."""
        if "--" in args:
            at = args.index("--")
            args = [*args[:at], _BETWEEN, *args[at + 1 :]]
        return super().parse_args(ctx, args)


@click.command(name="diff", cls=_Command, examples=EXAMPLES)
@click.argument(
    "recordings", nargs=-1, required=True, type=_Recording(dir_okay=False), metavar="BEFORE... [--] AFTER..."
)
@option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, readable=False),
    from_environment=False,
    metavar="FILE",
    help="Where to write: a page (.html), a flame graph (.svg) or the table (.txt, or '-').  [default: the"
    " table on stdout]",
)
@option(
    "--by",
    "basis",
    type=click.Choice(["samples", "time"]),
    default="samples",
    show_default=True,
    help="Compare shares of all samples, or CPU seconds a second.",
)
@option("--all", "every", is_flag=True, help="List all functions on stdout, also those that don't differ.")
@option(
    "--full-names", is_flag=True, help="Tell native functions apart by template arguments and parameters."
)
@option("--full-paths", is_flag=True, help="Tell source files apart by their whole paths.")
@option("--force", is_flag=True, from_environment=False, help="Overwrite a file that exists.")
@volume_options
def command(
    recordings: Sequence[str],
    output: str | None,
    basis: str,
    every: bool,
    full_names: bool,
    full_paths: bool,
    force: bool,
) -> None:
    """Compare recordings: what takes more, what less, what is new or gone.

    Functions are matched by name and file, processes by name. A difference that chance explains is grey, or
    not listed; docs/DIFF.md says how that is decided, and what no comparison can tell.

    Several recordings of a side, with -- between the sides, tell how much runs of one program differ.
    """
    from profiler.profile.diff import Basis, WithoutTime, compare_runs

    befores, afters = _sides(recordings)

    def compared() -> Diff:
        names = {"full_names": full_names, "full_paths": full_paths}
        try:
            return compare_runs(
                [_read(path, **names) for path in befores],
                [_read(path, **names) for path in afters],
                Basis(basis),
            )
        except WithoutTime as error:
            raise UsageError(f"{error}; omit --by time") from None

    if output is None:
        _print(compared(), every=every)
    else:
        _write(compared, output, force=force)


def _sides(recordings: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The recordings before and after. Raises `UsageError`."""
    if _BETWEEN in recordings:
        at = recordings.index(_BETWEEN)
        befores, afters = recordings[:at], recordings[at + 1 :]
    elif len(recordings) == 2:
        befores, afters = recordings[:1], recordings[1:]
    else:
        raise UsageError("write two recordings, or several of each side with '--' between the sides")
    if not befores or not afters:
        raise UsageError("each side takes a recording: write '--' between those before and those after")
    return befores, afters


def _read(path: str, *, full_names: bool, full_paths: bool) -> Profile:
    from profiler.commands.results import shown_as
    from profiler.profile.recording import read_profile

    return shown_as(read_profile(path), full_names=full_names, full_paths=full_paths)


def _print(diff: Diff, *, every: bool) -> None:
    from profiler.export.diff_table import lines

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    table = "\n".join(lines(diff, colour=may_colour(_STDOUT), width=width, every=every))
    try:
        sys.stdout.buffer.write(f"{table}\n".encode())
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        sys.exit(PidflameError.exit_code)


def _write(compared: Callable[[], Diff], output: str, *, force: bool) -> None:
    """Opens the file before the work is done, and says afterwards what is in it."""
    from profiler.export.diff_text import notes, summary

    write = diff_writer(output)
    with closing(open_destination(output, replace=force)) as destination:
        diff = compared()
        try:
            destination.write(partial(write, diff))
        except OSError as error:
            raise PidflameError(f"cannot write {output}: {error.strerror}; write elsewhere with -o") from None
    if isinstance(destination, NamedFile):
        say(
            f"wrote {output}"
            + (" (open it in a browser)" if output.lower().endswith((".html", ".svg")) else "")
        )
    for note in notes(diff):
        say_note(note)
    say(summary(diff), at=Volume.USUAL)
