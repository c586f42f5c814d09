"""`pidflame record`: its options. Imports little, so that the workers' process starts before all else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from profiler.capture.cache import folder
from profiler.capture.source import EVENTS
from profiler.commands.completing import complete_command, complete_process
from profiler.commands.durations import Duration
from profiler.commands.usage import Command, Example, option, output_options, volume_options
from profiler.export.registry import ALL, formats_of, needs_recording
from symbolizers.process.fork_server import ForkServer

READ_STRATEGIES = ("auto", "kernel", "resident")
"""Or one of `symbolizers.process.memory.ReadStrategy`, whose import takes its time."""


EXAMPLES = (
    Example("sudo pidflame record -d 10", "everything that runs, for ten seconds"),
    Example("sudo pidflame record -d 5m -o cpu.svg -o cpu.folded", "for five minutes, into two files"),
    Example("sudo pidflame record -p 4711 --children", "one process and what it starts, until Ctrl-C"),
    Example("sudo pidflame record -p nginx -d 30", "all processes of a command, for half a minute"),
    Example("sudo pidflame record -F 100 -o job.svg -- ./job --fast", "a command, 100 times a second"),
    Example("sudo pidflame record -d 10 -o - | grep memcpy", "stacks as text, for another program"),
)


@click.command(name="record", cls=Command, examples=EXAMPLES)
@option(
    "-d",
    "--duration",
    type=Duration(),
    metavar="DURATION",
    help="How long to record: 90, 90s, 5m, 1h30m.  [default: until Ctrl-C, or the end of COMMAND]",
)
@option(
    "-F",
    "--frequency",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="HZ",
    help="Samples per second on each CPU.",
)
@option(
    "-p",
    "--pid",
    "targets",
    multiple=True,
    from_environment=False,
    shell_complete=complete_process,
    metavar="PID|NAME",
    help="Record only this process, or those of this command name; may be repeated."
    "  [default: the whole system]",
)
@option(
    "--children",
    is_flag=True,
    from_environment=False,
    help="With -p: record their children, too, those that run and those that start.",
)
@option("--no-self", is_flag=True, help="Leave out pidflame's own samples; a note says how many these were.")
@output_options(
    [known.name for known in ALL],
    "A file appears once it is whole; a device or a named pipe is written to."
    "  [default: a dated .pidflame and .html in this folder]",
)
@option(
    "--event",
    type=click.Choice(EVENTS),
    default="cpu-clock",
    show_default=True,
    help="What drives the sampling.",
)
@option("--lines", is_flag=True, help="Show the line that runs instead of the function's first.")
@option("--threads", is_flag=True, help="Show each thread under its process.")
@option("--containers", is_flag=True, help="Show processes that run in a container under it.")
@option(
    "--async-tasks", is_flag=True, help="Python 3.14 and later: show what awaits an asyncio task under it."
)
@option("--native", is_flag=True, help="Show the interpreters' own functions, too.")
@option(
    "--inlines",
    is_flag=True,
    help="Show inlined functions, and source lines of native ones, where files have debug information.",
)
@option(
    "--debuginfod",
    is_flag=True,
    help="At the end, fetch symbols of stripped files from the servers in DEBUGINFOD_URLS.",
)
@option("--full-names", is_flag=True, help="Show native functions with template arguments and parameters.")
@option("--full-paths", is_flag=True, help="Show source files with their whole paths.")
@option(
    "--read-strategy",
    type=click.Choice(READ_STRATEGIES),
    default="auto",
    show_default=True,
    help="How memory is read: by the kernel's own nowait reads, or only where pages are resident.",
)
@option(
    "--stats",
    type=click.Path(dir_okay=False, readable=False),
    from_environment=False,
    metavar="FILE",
    help="Write the run's figures as JSON.",
)
@option("--keep-partial", is_flag=True, help="Keep stacks of which a read would fault, with a marker there.")
@option("--drop-partial", is_flag=True, help="Drop every stack that is not whole.")
@option("--keep-dropped", is_flag=True, help="Show dropped samples as frames that say why.")
@option(
    "--no-cache",
    is_flag=True,
    help="Compile the sampler, whatever earlier runs have kept, and keep nothing.",
)
@option("--force", is_flag=True, from_environment=False, help="Overwrite files that exist.")
@volume_options
@click.argument(
    "command", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_command, metavar="[-- COMMAND...]"
)
def command(**options: Any) -> None:
    """Record stacks and write a flame graph.

    Everything that runs on this machine is recorded, unless -p names processes or a COMMAND follows '--':
    then that command and all it starts are recorded.
    """
    # Workers need most of what comes with it, too.
    from symbolizers.asker import Asker, Workers

    with closing(ForkServer(from_here=True)) as server:
        # It imports the rest of what workers need, on another CPU, while we import ours.
        from profiler.capture.loading import Loading
        from profiler.privileges import may_load

        with closing(Loading(options["frequency"], use_cache=not options["no_cache"])) as loading:
            # A command is forked from a process of one thread.
            if not options["command"] and may_load():
                loading.begin()
            with closing(Asker(Workers(_worker_options(options), server))) as asker:
                from profiler.commands.recording import Options, record

                code = record(Options(**options), asker, loading)
    sys.exit(code)


def _worker_options(options: Mapping[str, Any]) -> list[str]:
    keeps_lines = options["lines"] or needs_recording(formats_of(options["outputs"], options["format_name"]))
    flags = [*(["--lines"] * keeps_lines), *(["--inlines"] * options["inlines"])]
    strategy = options["read_strategy"]
    if options["debuginfod"]:
        flags.append(f"--fetched={folder()}")
    return [*flags, *([f"--read-strategy={strategy}"] * (strategy != READ_STRATEGIES[0]))]
