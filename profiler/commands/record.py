"""`pidflame record`: its options. Imports little, so that the workers' process starts before all else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from profiler.capture.source import EVENTS
from profiler.export.registry import FORMATS
from symbolizers.process.fork_server import ForkServer

READ_STRATEGIES = ("auto", "kernel", "resident")
"""Or one of `symbolizers.process.memory.ReadStrategy`, whose import takes its time."""


@click.command(name="record")
@click.option(
    "-d",
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long to record.  [default: until Ctrl-C, or the end of COMMAND]",
)
@click.option(
    "-F",
    "--frequency",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="HZ",
    help="Samples per second on each CPU.",
)
@click.option(
    "-p",
    "--pid",
    "targets",
    multiple=True,
    metavar="PID|NAME",
    help="Record only this process, or those of this command name; may be repeated."
    "  [default: the whole system]",
)
@click.option(
    "--children",
    is_flag=True,
    help="With -p: record their children, too, those that run and those that start.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(dir_okay=False, readable=False),
    multiple=True,
    metavar="FILE",
    help="Where to write; may be repeated. The suffix selects the format; '-' is stdout. A file appears once"
    " it is whole; a device or a named pipe is written to."
    "  [default: a dated .svg in this folder]",
)
@click.option(
    "-f",
    "--format",
    "format_name",
    type=click.Choice([known.name for known in FORMATS]),
    help="The format of every output, whatever its suffix.",
)
@click.option(
    "--event",
    type=click.Choice(EVENTS),
    default="cpu-clock",
    show_default=True,
    help="What drives the sampling.",
)
@click.option("--lines", is_flag=True, help="Show the line that runs instead of the function's first.")
@click.option("--threads", is_flag=True, help="Show each thread under its process.")
@click.option(
    "--async-tasks", is_flag=True, help="Python 3.14 and later: show what awaits an asyncio task under it."
)
@click.option("--full-paths", is_flag=True, help="Show source files with their whole paths.")
@click.option(
    "--read-strategy",
    type=click.Choice(READ_STRATEGIES),
    default="auto",
    show_default=True,
    help="How memory is read: by the kernel's own nowait reads, or only where pages are resident.",
)
@click.option(
    "--stats",
    type=click.Path(dir_okay=False, readable=False),
    metavar="FILE",
    help="Write the run's figures as JSON.",
)
@click.option(
    "--keep-partial", is_flag=True, help="Keep stacks of which a read would fault, with a marker there."
)
@click.option("--drop-partial", is_flag=True, help="Drop every stack that is not whole.")
@click.option("--keep-dropped", is_flag=True, help="Show dropped samples as frames that say why.")
@click.option(
    "--no-cache",
    is_flag=True,
    help="Compile the sampler, whatever earlier runs have kept, and keep nothing.",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(**options: Any) -> None:
    """Record stacks and write a flame graph.

    Everything that runs on this machine is recorded, unless -p names processes or a COMMAND follows '--':
    then that command and all it starts are recorded.
    """
    with closing(ForkServer()) as server:
        # It imports what workers need, on another CPU, while we import the rest.
        from symbolizers.asker import Asker, Workers

        with closing(Asker(Workers(_worker_options(options), server))) as asker:
            from profiler.commands.recording import Options, record

            code = record(Options(**options), asker)
    sys.exit(code)


def _worker_options(options: Mapping[str, Any]) -> list[str]:
    lines, strategy = options["lines"], options["read_strategy"]
    return [*(["--lines"] * lines), *([f"--read-strategy={strategy}"] * (strategy != READ_STRATEGIES[0]))]
