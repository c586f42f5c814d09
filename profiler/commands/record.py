"""`pidflame record`: takes the options apart, records, and writes what was asked for."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import click

from profiler import preflight
from profiler.capture.kernel_source import KernelSource
from profiler.capture.source import EVENTS, SampleSource, Sampling
from profiler.commands.ending import Ending
from profiler.commands.outputs import Outputs, output_files
from profiler.commands.talk import is_heard_by_a_person, say
from profiler.commands.targets import find_targets
from profiler.errors import PrerequisiteError, UsageError
from profiler.export.registry import FORMATS
from profiler.invoker import trusted_users
from profiler.launch import Launched
from profiler.privileges import drop_what_loading_took, leave_network
from profiler.profile.model import Profile
from profiler.profile.paths import with_short_files
from profiler.run.session import Progress, Recording, Session
from symbolizers.asker import Asker, Workers
from symbolizers.process.identity import ProcessId, start_ticks_of
from symbolizers.process.memory import ReadStrategy, available_strategies

_PROGRESS_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of a recording, one field an option."""

    duration: float | None
    frequency: int
    targets: tuple[str, ...]
    children: bool
    outputs: tuple[str, ...]
    format_name: str | None
    event: str
    lines: bool
    threads: bool
    async_tasks: bool
    full_paths: bool
    read_strategy: str
    stats: str | None
    keep_partial: bool
    drop_partial: bool
    keep_dropped: bool
    no_cache: bool
    force: bool
    command: tuple[str, ...]


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
    type=click.Choice(["auto", *(strategy.value for strategy in ReadStrategy)]),
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
    sys.exit(_run(Options(**options)))


def _run(options: Options) -> int:
    """Records and writes; returns the exit code."""
    asked_at_s = _program_start_s()
    if options.keep_partial and options.drop_partial:
        raise UsageError("--keep-partial and --drop-partial exclude each other; give one of them")
    files = output_files(options.outputs, options.format_name)
    targets = find_targets(options.targets, children=options.children)
    with Ending() as ending, closing(Outputs(files, options.stats, force=options.force)) as outputs:
        ending.removes(outputs)
        preflight.check(sys.argv[1:])
        worker_options = [*(["--lines"] if options.lines else []), *_read_options(options.read_strategy)]
        if options.command:
            ending.check()
        launched = Launched(options.command) if options.command else None
        if targets:
            say(f"recording {', '.join(f'{each.name} ({each.pid})' for each in targets)}")
        recording = _recording(options, [each.pid for each in targets], launched, asked_at_s)
        source = KernelSource(recording.sampling, use_cache=not options.no_cache)
        profile = _record(recording, source, worker_options, launched, ending)
        if not options.full_paths:
            profile = replace(profile, samples=with_short_files(profile.samples))
        delivered = outputs.deliver(profile)
        code = launched.exit_code() if launched else int(bool(targets) and not profile.losses.samples)
    return code or int(not delivered)


def _recording(
    options: Options, pids: Sequence[int], launched: Launched | None, asked_at_s: float
) -> Recording:
    targets = (*pids, *([launched.pid] if launched else []))
    with_children = options.children or launched is not None
    return Recording(
        Sampling(options.frequency, targets or None, with_children, options.event),
        options.duration,
        lines=options.lines,
        title=_title(options.targets, options.command),
        asked_at_s=asked_at_s,
        keep_partial=options.keep_partial,
        drop_partial=options.drop_partial,
        keep_dropped=options.keep_dropped,
        threads=options.threads,
        async_tasks=options.async_tasks,
        trusted=trusted_users(),
    )


def _read_options(name: str) -> list[str]:
    """The worker's options for how to read. Raises `PrerequisiteError` if this kernel lacks what it takes."""
    if name == "auto":
        return []
    if ReadStrategy(name) not in available_strategies():
        raise PrerequisiteError(
            f"--read-strategy {name}: this kernel lacks PROCESS_VM_PIDFD and PROCESS_VM_NOWAIT;"
            " omit the option: reads do not wait for a target without them either"
        )
    return [f"--read-strategy={name}"]


def _record(
    recording: Recording,
    source: SampleSource,
    worker_options: Sequence[str],
    launched: Launched | None,
    ending: Ending,
) -> Profile:
    progress = _progress_line(recording.duration_s)
    leave_network()
    asker = Asker(Workers(worker_options))
    with closing(asker), closing(source):
        session = Session(recording, source, asker)
        with ending.stops(session, launched):
            session.prepare()
            session.start()
            drop_what_loading_took()
            if launched is not None:
                launched.release()
            profile = session.run(progress)
    if progress is not None:
        say("")
    return profile


def _progress_line(duration_s: float | None) -> Callable[[Progress], None] | None:
    """Writes one line over and over, on a terminal; None elsewhere."""
    if not is_heard_by_a_person():
        return None
    of = "" if duration_s is None else f" of {duration_s:g}"
    shown_s = -_PROGRESS_EVERY_S

    def show(progress: Progress) -> None:
        nonlocal shown_s
        if progress.elapsed_s - shown_s >= _PROGRESS_EVERY_S:
            shown_s = progress.elapsed_s
            hint = "" if duration_s is not None else ", Ctrl-C ends"
            say(f"\rrecording: {progress.elapsed_s:.0f}{of} s, {progress.samples} samples{hint} ", end="")

    return show


def _title(targets: Sequence[str], command: Sequence[str]) -> str:
    parts = [f"pid {each}" if each.isdigit() else each for each in targets] + (
        [shlex.join(command)] if command else []
    )
    return ", ".join(parts) or "whole system"


def _program_start_s() -> float:
    """When this process was started, on CLOCK_MONOTONIC; to the clock tick (10 ms)."""
    boot_s = ProcessId(os.getpid(), start_ticks_of(os.getpid())).start_ns() / 1e9
    return boot_s - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
