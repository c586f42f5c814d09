"""The files of a command: chosen or refused before anything is done, written and reported afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from profiler.errors import PidflameError, UsageError
from profiler.export.registry import Format, format_for
from profiler.export.stats import summary, to_json
from profiler.export.text import warnings
from profiler.profile.model import Profile


def output_files(outputs: Sequence[str], format_name: str | None) -> list[tuple[str, Format]]:
    """What to write and how. Raises `UsageError` before anything is recorded."""
    if not outputs:
        format_ = format_for("pidflame.svg", format_name)
        path = datetime.now().strftime("pidflame-%Y%m%d-%H%M%S") + format_.suffixes[0]
        return [(path, format_)]
    return [(path, format_for(path, format_name or ("folded" if path == "-" else None))) for path in outputs]


def refuse_overwriting(paths: Sequence[str], *, force: bool) -> None:
    """Raises `UsageError` if a file is in the way, or its folder does not exist."""
    for path in paths:
        if path == "-":
            continue
        if not Path(path).absolute().parent.is_dir():
            raise UsageError(f"the folder of {path} does not exist")
        if not force and os.path.lexists(path):
            raise UsageError(f"{path} exists; --force overwrites it")


def deliver(profile: Profile, files: Sequence[tuple[str, Format]], stats: str | None) -> None:
    """Writes all files, then says on stderr what a person should know about them."""
    for path, format_ in files:
        _write(path, format_, profile)
    if stats:
        Path(stats).write_text(to_json(profile), encoding="utf-8")
    for path, format_ in files:
        if path != "-":
            click.echo(
                f"wrote {path}" + (" (open it in a browser)" if format_.name == "svg" else ""), err=True
            )
    for note in profile.notes:
        click.echo(f"note: {note}", err=True)
    for warning in warnings(profile.losses):
        click.echo(f"warning: {warning}", err=True)
    click.echo(summary(profile.losses), err=True)


def _write(path: str, format_: Format, profile: Profile) -> None:
    try:
        if path == "-":
            format_.write(profile, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with open(path, "wb") as stream:
                format_.write(profile, stream)
    except OSError as error:
        raise PidflameError(f"cannot write {path}: {error.strerror}; write elsewhere with -o") from None
