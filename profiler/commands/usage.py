"""What all commands have in common: help with examples, defaults from the environment, how much they say."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from profiler.commands.talk import Volume, say_warning, set_volume

PROGRAM = "pidflame"
_PREFIX = "PIDFLAME"
_VOLUME = f"{__name__}.volume"
"""The key in click's `Context.meta` for the volume that was chosen, and where."""

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Example(NamedTuple):
    """A command line, and what it does, in words."""

    command: str
    does: str


class Option(click.Option):
    """An option. Its default may come from a variable: PIDFLAME_RECORD_FREQUENCY for `record --frequency`.

    Not so with `from_environment` False: which processes are recorded and which files are written is said on
    the command line alone, so that nobody's environment decides about it.
    """

    def __init__(self, *arguments: Any, from_environment: bool = True, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.from_environment = from_environment

    def variable(self, ctx: click.Context) -> str | None:
        """The name of its variable; None if it has none."""
        if not self.from_environment:
            return None
        option = max(self.opts, key=len).lstrip("-").replace("-", "_")
        return f"{_variables_of(ctx)}{option.upper()}"

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """What the variable says; None if it is empty, or not set."""
        name = self.variable(ctx)
        return None if name is None else os.environ.get(name) or None

    def handle_parse_result(self, ctx: click.Context, *parsed: Any) -> tuple[Any, list[str]]:
        """As in click; an error says if it comes from the variable."""
        try:
            return super().handle_parse_result(ctx, *parsed)
        except click.BadParameter as error:
            if ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT:
                message = f"{error.message} (the environment says so: {self.variable(ctx)})"
                raise click.BadParameter(message, ctx, self) from None
            raise


option = partial(click.option, cls=Option)


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *arguments: Any, examples: Sequence[Example] = (), **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)
        if variables(self, ctx):
            with formatter.section("Environment"):
                formatter.write_text(environment_text(self, ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As in click; an option that is not ours may be one of the COMMAND that is to be run."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if any(isinstance(each, click.Argument) and each.name == "command" for each in self.params):
                message = f"No such option: {error.option_name} (write '--' before a COMMAND with options)"
                raise click.NoSuchOption(error.option_name, message, ctx=ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        set_volume(ctx.meta.get(_VOLUME, (None, Volume.USUAL))[1])
        known = variables(self, ctx)
        for name in sorted(os.environ):
            if name.startswith(_variables_of(ctx)) and name not in known:
                say_warning(f"{name} is ignored: no default of '{ctx.command_path}' comes from it")
        return super().invoke(ctx)


def write_examples(examples: Sequence[Example], formatter: click.HelpFormatter) -> None:
    """Writes a section in which no line is wrapped, so that each can be copied."""
    if not examples:
        return
    with formatter.section("Examples"):
        indent = " " * formatter.current_indent
        for number, example in enumerate(examples):
            gap = "\n" if number else ""
            formatter.write(f"{gap}{indent}# {example.does}\n{indent}{example.command}\n")


def variables(command: click.Command, ctx: click.Context) -> dict[str, Option]:
    """The options of a command whose defaults can be set, by the names of their variables."""
    named = ((each.variable(ctx), each) for each in command.params if isinstance(each, Option))
    return {name: each for name, each in named if name is not None}


def environment_text(command: click.Command, ctx: click.Context) -> str:
    """A paragraph on the variables of a command."""
    known = variables(command, ctx)
    valued = [name for name, each in known.items() if not each.is_flag]
    name = max(valued or known, key=lambda name: known[name].show_default is True)
    return (
        f"Variables set defaults: {name} that of {max(known[name].opts, key=len)}, and so on; flags take 1 or"
        " 0. Only the command line says which processes are recorded and which files are written. sudo drops"
        f" variables unless it is told otherwise: sudo --preserve-env={name} {ctx.command_path}"
    )


def _variables_of(ctx: click.Context) -> str:
    """What the names of a command's variables begin with."""
    return f"{_PREFIX}_{(ctx.info_name or '').upper()}_"


def output_options(formats: Sequence[str], does: str) -> Callable[[AnyFunction], AnyFunction]:
    """Adds ``--output``, whose help is what it `does`, and ``--format``, one of the `formats`."""

    def add(function: AnyFunction) -> AnyFunction:
        function = option(
            "-f",
            "--format",
            "format_name",
            type=click.Choice(formats),
            help="The format of every output, whatever its suffix.",
        )(function)
        return option(
            "-o",
            "--output",
            "outputs",
            type=click.Path(dir_okay=False, readable=False),
            multiple=True,
            from_environment=False,
            metavar="FILE",
            help=f"Where to write; may be repeated. The suffix selects the format; '-' is stdout. {does}",
        )(function)

    return add


def volume_options(function: AnyFunction) -> AnyFunction:
    """Adds ``--quiet`` and ``--verbose``, which take effect without the command's help."""
    for flag, volume, what in (
        ("verbose", Volume.VERBOSE, "Say how long each step took, and what is known of single processes."),
        ("quiet", Volume.QUIET, "Say nothing but errors and the paths of what was written."),
    ):
        decorate = option(
            f"-{flag[0]}",
            f"--{flag}",
            is_flag=True,
            expose_value=False,
            callback=partial(_choose, volume),
            help=what,
        )
        function = decorate(function)
    return function


def _choose(volume: Volume, ctx: click.Context, param: click.Parameter, is_chosen: bool) -> None:
    if not is_chosen:
        return
    source = ctx.get_parameter_source(param.name or "")
    before = ctx.meta.get(_VOLUME)
    if before is not None and before[0] is source:
        raise click.UsageError("--quiet and --verbose exclude each other; give one of them", ctx)
    if before is None or source is ParameterSource.COMMANDLINE:
        ctx.meta[_VOLUME] = source, volume
