"""`pidflame man`: the manual page, made from the commands themselves, so that it says what they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import click

from profiler.commands.usage import PROGRAM, Command, Example, environment_text, variables

EXAMPLES = (
    Example("pidflame man | man -l -", "read it"),
    Example("pidflame man | sudo tee /usr/local/share/man/man1/pidflame.1", "let 'man pidflame' find it"),
)
_EXIT_CODES = (
    ("0", "The command did what it was asked for; also after Ctrl-C, when the files are written."),
    ("1", "It failed, or an output is not in its place; stderr says where it is."),
    ("2", "The command line makes no sense, or a file would be overwritten."),
    ("3", "A permission, a package or something of the kernel is missing; stderr says how to get it."),
    ("4", "There is no such process."),
    (
        "other",
        "With a COMMAND, its own; 126 if it can't be run, 127 if there is none, 128 + N after signal N.",
    ),
)
_VARIABLES = (
    ("NO_COLOR", "If it is set and not empty, nothing is said in colour."),
    ("TMPDIR", "The first folder that is tried for what can't be written in its place."),
    ("SUDO_UID, SUDO_GID", "Set by sudo: files belong to this user, and a COMMAND runs as this user."),
)
_FILES = (
    (
        "/var/cache/pidflame",
        "What root's runs keep: the sampler, compiled for this kernel, and unwind tables. Other users have"
        " it in their cache folder.",
    ),
    ("/tmp/perf-PID.map", "Names of generated code, where a runtime writes them."),
)


@click.command(name="man", cls=Command, examples=EXAMPLES)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the manual page (troff)."""
    click.echo(manual_page(ctx.find_root()), nl=False)


def manual_page(root: click.Context) -> str:
    """The page on the program whose context this is, and on all of its commands."""
    return "\n".join(_page(root)) + "\n"


def _page(root: click.Context) -> Iterator[str]:
    group = root.command
    assert isinstance(group, click.Group)
    contexts = [
        click.Context(found, root, info_name=name)
        for name in group.list_commands(root)
        if (found := group.get_command(root, name)) is not None
    ]
    summary = (group.help or "").rstrip(".")
    yield f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM} {version(PROGRAM)}" "User Commands"'
    yield from (".SH NAME", f"{PROGRAM} \\- {_escaped(summary[:1].lower() + summary[1:])}", ".SH SYNOPSIS")
    for ctx in contexts:
        yield from (f".B {ctx.command_path}", _escaped(_arguments(ctx)), ".br")
    yield ".SH COMMANDS"
    for ctx in contexts:
        yield from _command(ctx)
    yield ".SH ENVIRONMENT"
    for ctx in contexts:
        if variables(ctx.command, ctx):
            yield _escaped(environment_text(ctx.command, ctx) + ".")
            yield from _list(
                (name, f"The default of {max(each.opts, key=len)}.")
                for name, each in variables(ctx.command, ctx).items()
            )
    yield from _list(_VARIABLES)
    yield from (".SH EXIT STATUS", *_list(_EXIT_CODES))
    yield from (".SH FILES", *_list(_FILES))
    yield from (".SH SEE ALSO", ".BR perf (1),", ".BR proc (5)")


def _command(ctx: click.Context) -> Iterator[str]:
    yield f".SS {_quoted(f'{ctx.command_path} {_arguments(ctx)}')}"
    for number, paragraph in enumerate((ctx.command.help or "").split("\n\n")):
        yield from ([".PP"] if number else [])
        yield _escaped(" ".join(paragraph.split()))
    options = (each for each in ctx.command.params if isinstance(each, click.Option))
    records = (each.get_help_record(ctx) for each in options)
    yield from _list(record for record in records if record is not None)
    if isinstance(ctx.command, Command) and ctx.command.examples:
        yield from (".PP", "Examples:")
        for example in ctx.command.examples:
            yield from (
                ".TP",
                _escaped(f"# {example.does}"),
                ".nf",
                f"\\fB{_escaped(example.command)}\\fR",
                ".fi",
            )


def _list(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, what in entries:
        yield from (".TP", f"\\fB{_escaped(name)}\\fR", _escaped(" ".join(what.split())))


def _arguments(ctx: click.Context) -> str:
    return " ".join(ctx.command.collect_usage_pieces(ctx))


def _escaped(text: str) -> str:
    """`text` as troff shows it; a line that begins with a dot or a quote would be a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{text}" if text.startswith(".") else text


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'
