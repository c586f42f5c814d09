"""What a shell offers for arguments that it can't know: processes, and commands to record."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from symbolizers.errors import ProcessGone
from symbolizers.process.identity import command_name_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_process(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Pids, or names of commands, that begin with what was typed."""
    import psutil  # here, as the other: nobody else waits for them
    from click.shell_completion import CompletionItem

    running = [(pid, _name(pid)) for pid in psutil.pids()]
    if typed.isdigit():
        return [CompletionItem(str(pid), help=name) for pid, name in running if str(pid).startswith(typed)]
    names = {name for pid, name in running if pid != os.getpid()}
    # Blanks and control characters would be words, or lines, of their own.
    plain = sorted(name for name in names if name.isprintable() and not any(map(str.isspace, name)))
    return [CompletionItem(name) for name in plain if name and name.startswith(typed)]


def complete_command(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    """Programs in PATH that begin with what was typed; files, where it is a path or an argument."""
    from click.shell_completion import CompletionItem

    if not typed or "/" in typed:
        return [CompletionItem(typed, type="file")]
    found = set()
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        try:
            found |= {name for name in os.listdir(folder) if name.startswith(typed)}
        except OSError:
            continue
    return [CompletionItem(name) for name in sorted(found)] or [CompletionItem(typed, type="file")]


def _name(pid: int) -> str:
    try:
        return command_name_of(pid)
    except ProcessGone:
        return ""
