"""`pidflame report`: its options."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from profiler.commands.durations import Duration
from profiler.commands.usage import Command, Example, option, output_options, volume_options
from profiler.errors import UsageError
from profiler.export.registry import FORMATS
from profiler.profile.view import Group

if TYPE_CHECKING:
    ParamType = click.ParamType[re.Pattern[str]]
else:  # it takes no type at run time before click 8.4
    ParamType = click.ParamType

EXAMPLES = (
    Example("pidflame report run.pidflame", "the hottest functions and the hottest path"),
    Example("pidflame report run.pidflame -o web.svg --process 'web*'", "a flame graph of some processes"),
    Example("pidflame report run.pidflame -o slow.svg --since 1m --until 90s", "of half a minute"),
    Example("pidflame report run.pidflame --root handle_request --invert", "who calls what in a request"),
    Example("pidflame report run.pidflame --sql 'SELECT * FROM fact'", "a query; see docs/RECORDING.md"),
)


class _Regex(ParamType):
    """A regular expression, as Python has them."""

    name = "regex"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        """Calls `fail`, which raises click's usage error, for what is no regular expression."""
        try:
            return re.compile(str(value))
        except re.error as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


@click.command(name="report", cls=Command, examples=EXAMPLES)
@output_options(
    [known.name for known in FORMATS],
    " [default: the hottest functions and path, on stdout]",
)
@option("--process", "processes", multiple=True, metavar="NAME", help="Only processes of this name.")
@option("--pid", "pids", multiple=True, type=int, metavar="PID", help="Only this process.")
@option("--user", "users", multiple=True, metavar="USER", help="Only processes of this user.")
@option("--container", "containers", multiple=True, metavar="NAME", help="Only this container.")
@option("--thread", "thread_names", multiple=True, metavar="NAME", help="Only threads of this name.")
@option("--since", "since_s", type=Duration(), metavar="DURATION", help="Only from this time on.")
@option("--until", "until_s", type=Duration(), metavar="DURATION", help="Only before this time.")
@option(
    "--grep",
    type=_Regex(),
    multiple=True,
    metavar="REGEX",
    help="Only stacks with a frame that matches; a frame is 'name (file:line)'.",
)
@option("--ignore", type=_Regex(), multiple=True, metavar="REGEX", help="No stack with a frame that matches.")
@option("--root", default="", metavar="FUNCTION", help="Stacks from this function on, and no others.")
@option("--invert", is_flag=True, help="Stacks begin with the function that ran, and lead to its callers.")
@option(
    "--group-by",
    "group",
    type=click.Choice([each.value for each in Group]),
    default=Group.PROCESS.value,
    show_default=True,
    help="What the first frame of a stack is.",
)
@option("--lines", is_flag=True, help="Show the line that runs instead of the function's first.")
@option("--native", is_flag=True, help="Show the interpreters' own functions, too.")
@option("--threads", is_flag=True, help="Show each thread under its process.")
@option("--containers", "show_containers", is_flag=True, help="Show processes under their containers.")
@option("--keep-dropped", is_flag=True, help="Show dropped samples as frames that say why.")
@option("--full-names", is_flag=True, help="Show native functions with template arguments and parameters.")
@option("--full-paths", is_flag=True, help="Show source files with their whole paths.")
@option(
    "--sql", from_environment=False, metavar="QUERY", help="Print what a query gives; see docs/RECORDING.md."
)
@option("--force", is_flag=True, from_environment=False, help="Overwrite files that exist.")
@volume_options
@click.argument(
    "recordings",
    nargs=-1,
    required=True,
    type=click.Path(dir_okay=False),
    metavar="RECORDING...",
)
def command(**options: Any) -> None:
    """Show recordings, or write them as files of any format.

    Without -o, the hottest functions and the hottest path are printed. Several recordings show as one. NAME
    may have the wildcards * and ?; times count from the start of the recording.
    """
    if options["sql"] is not None and options["outputs"]:
        raise UsageError(
            "--sql prints what the query gives; omit -o, and redirect stdout to have it in a file"
        )
    from profiler.commands.reporting import report

    sys.exit(report(options))
