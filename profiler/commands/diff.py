"""`pidflame diff`: compares two recordings, and says which differences are real."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
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

EXAMPLES = (
    Example("pidflame diff before.pidflame after.pidflame", "the functions that differ, as a table"),
    Example("pidflame diff before.pidflame after.pidflame -o diff.svg", "as a differential flame graph"),
    Example("pidflame diff before.pidflame after.pidflame --by time", "CPU time instead of shares"),
)


@click.command(name="diff", cls=Command, examples=EXAMPLES)
@click.argument("before", type=click.Path(dir_okay=False))
@click.argument("after", type=click.Path(dir_okay=False))
@option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, readable=False),
    from_environment=False,
    metavar="FILE",
    help="Where to write: a flame graph (.svg) or the table (.txt, or '-').  [default: the table on stdout]",
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
    before: str,
    after: str,
    output: str | None,
    basis: str,
    every: bool,
    full_names: bool,
    full_paths: bool,
    force: bool,
) -> None:
    """Compare two recordings: what takes more, what less, what is new or gone.

    Functions are matched by name and file, processes by name. A difference that chance explains is grey, or
    not listed; docs/DIFF.md says how that is decided, and what no comparison of two recordings can tell.
    """
    from profiler.profile.diff import Basis, WithoutTime, compare

    def compared() -> Diff:
        names = {"full_names": full_names, "full_paths": full_paths}
        try:
            return compare(_read(before, **names), _read(after, **names), Basis(basis))
        except WithoutTime as error:
            raise UsageError(f"{error}; omit --by time") from None

    if output is None:
        _print(compared(), every=every)
    else:
        _write(compared, output, force=force)


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
        say(f"wrote {output}" + (" (open it in a browser)" if output.lower().endswith(".svg") else ""))
    for note in notes(diff):
        say_note(note)
    say(summary(diff), at=Volume.USUAL)
