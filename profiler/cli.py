"""The command line: finds the command that was named, and prints every error in one place."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from profiler.commands.talk import say, say_error
from profiler.commands.usage import PROGRAM, Example, write_examples
from profiler.errors import PidflameError, UsageError

COMMANDS = ("record", "report", "diff", "doctor", "completion", "man")
"""Modules of `profiler.commands`; the object `command` in each is the command."""
EXAMPLES = (
    Example("sudo pidflame record -d 10", "everything that runs on this machine, for ten seconds"),
    Example("sudo pidflame record -- make -j4", "one command, from its first instruction to its end"),
    Example("pidflame report run.pidflame", "what a recording shows"),
    Example("pidflame diff before.pidflame after.pidflame", "what differs between two, and is real"),
    Example("pidflame doctor", "whether a recording would work here, and what is missing"),
)


class LazyGroup(click.Group):
    """Imports a command when it is used, so that a recording does not wait for what it never needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"profiler.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click; an error says which commands there are."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # here: nobody else needs it

            near = get_close_matches(args[0], COMMANDS, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"No such command: {args[0]!r}; {known}", ctx)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(EXAMPLES, formatter)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.pass_context
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM)
def cli(ctx: click.Context) -> None:
    """A system-wide sampling profiler: flame graphs with real names in them, and no process waits."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        sys.exit(UsageError.exit_code)


def main() -> None:
    """The command `pidflame`: runs it, prints what goes wrong and exits with its code."""
    try:
        cli.main(prog_name=PROGRAM, standalone_mode=False)
    except PidflameError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        say_error(error.format_message())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            say(f"'{error.ctx.command_path} --help' shows what it takes, with examples")
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C
        say_error("interrupted")
        sys.exit(1)
