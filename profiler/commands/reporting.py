"""Makes a report of recordings, as the options of `pidflame report` say."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any

import click

from profiler.commands.output_file import Contents
from profiler.commands.outputs import Outputs, output_files
from profiler.commands.results import shown_as
from profiler.commands.talk import may_colour
from profiler.errors import UsageError
from profiler.export.registry import RECORDING, Format
from profiler.export.table import functions_and_path, rows_as_text
from profiler.profile.merge import merged
from profiler.profile.model import Profile
from profiler.profile.recording import query, read_profile, read_summary
from profiler.profile.summary import Summary, summary_of
from profiler.profile.view import Group, View

_STDOUT = 1


def report(options: Mapping[str, Any]) -> int:
    """Reads and writes; returns the exit code. Raises `UsageError` and `BadRecording`."""
    if options["sql"] is not None:
        for path in options["recordings"]:
            click.echo(rows_as_text(*query(path, options["sql"])), nl=False)
        return 0
    if not options["outputs"]:
        click.echo(functions_and_path(_summary(options), colour=may_colour(_STDOUT)), nl=False)
        return 0
    files = output_files(options["outputs"], options["format_name"])
    if any(format_ is RECORDING for _, format_ in files):
        raise UsageError("a report can't be written as a recording; copy the file that there is")
    with closing(Outputs(files, force=options["force"])) as outputs:
        wanted = {format_.detailed for _, format_ in files}
        profiles = {detailed: _profile(options, times=detailed) for detailed in wanted}

        def contents(format_: Format) -> Contents:
            return partial(format_.write, profiles[format_.detailed])

        return int(not outputs.deliver(profiles[min(wanted)], contents))


def _summary(options: Mapping[str, Any]) -> Summary:
    """Of the usual view, a recording that has ended has it."""
    kept = None
    is_usual = _view(options, times=False) == View() and not options["full_names"] | options["full_paths"]
    if is_usual and len(options["recordings"]) == 1:
        kept = read_summary(options["recordings"][0])
    return kept or summary_of(_profile(options, times=False).samples)


def _profile(options: Mapping[str, Any], *, times: bool) -> Profile:
    view = _view(options, times=times)
    profile = merged([read_profile(path, view) for path in options["recordings"]])
    return shown_as(profile, full_names=options["full_names"], full_paths=options["full_paths"])


def _view(options: Mapping[str, Any], *, times: bool) -> View:
    return View(
        threads=options["threads"] or times,
        times=times,
        places=times,
        lines=options["lines"],
        native=options["native"],
        show_containers=options["show_containers"],
        keep_dropped=options["keep_dropped"],
        processes=options["processes"],
        pids=options["pids"],
        users=tuple(map(_uid, options["users"])),
        containers=options["containers"],
        thread_names=options["thread_names"],
        since_s=options["since_s"] or 0.0,
        until_s=options["until_s"],
        grep=options["grep"],
        ignore=options["ignore"],
        root=options["root"],
        invert=options["invert"],
        group=Group(options["group"]),
    )


def _uid(user: str) -> int:
    """Of a name or a number. Raises `UsageError`."""
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {user!r} here; give a number (uid)") from None
