"""The command line: finds the command that was named, and prints every error in one place."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from profiler.errors import PidflameError

COMMANDS = ("record", "doctor")
"""Modules of `profiler.commands`; the object `command` in each is the command."""


class LazyGroup(click.Group):
    """Imports a command when it is used, so that a recording does not wait for what it never needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"profiler.commands.{cmd_name}").command
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pidflame")
def cli() -> None:
    """A system-wide sampling profiler: flame graphs with real names in them, and no process waits."""


def main() -> None:
    """The command `pidflame`: runs it, prints what goes wrong and exits with its code."""
    try:
        cli.main(standalone_mode=False)
    except PidflameError as error:
        click.echo(f"pidflame: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C
        click.echo("pidflame: interrupted", err=True)
        sys.exit(1)
