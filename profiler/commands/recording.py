"""Records, as the options of `pidflame record` say, and writes what was asked for."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from profiler import preflight
from profiler.capture.kernel_source import KernelSource
from profiler.capture.source import SampleSource, Sampling
from profiler.commands.ending import Ending
from profiler.commands.outputs import Outputs, output_files
from profiler.commands.talk import is_heard_by_a_person, say
from profiler.commands.targets import find_targets
from profiler.errors import PrerequisiteError, UsageError
from profiler.invoker import trusted_users
from profiler.launch import Launched
from profiler.privileges import drop_what_loading_took, leave_network
from profiler.profile.model import Profile
from profiler.profile.paths import with_short_files
from profiler.run.session import Progress, Recording, Session
from symbolizers.asker import Asker
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


def record(options: Options, asker: Asker) -> int:
    """Records and writes, with what the `asker` finds out; returns the exit code."""
    gc.freeze()
    gc.enable()
    asked_at_s = _program_start_s()
    if options.keep_partial and options.drop_partial:
        raise UsageError("--keep-partial and --drop-partial exclude each other; give one of them")
    files = output_files(options.outputs, options.format_name)
    targets = find_targets(options.targets, children=options.children)
    with Ending() as ending, closing(Outputs(files, options.stats, force=options.force)) as outputs:
        ending.removes(outputs)
        preflight.check(sys.argv[1:])
        _check_strategy(options.read_strategy)
        if options.command:
            ending.check()
        launched = Launched(options.command) if options.command else None
        if targets:
            say(f"recording {', '.join(f'{each.name} ({each.pid})' for each in targets)}")
        recording = _recording(options, [each.pid for each in targets], launched, asked_at_s)
        source = KernelSource(recording.sampling, use_cache=not options.no_cache)
        profile = _record(recording, source, asker, launched, ending)
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
        Sampling(
            options.frequency,
            targets or None,
            with_children,
            options.event,
            lines=options.lines,
            singly=options.async_tasks,
        ),
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


def _check_strategy(name: str) -> None:
    """Raises `PrerequisiteError` if this kernel lacks what it takes to read so."""
    if name != "auto" and ReadStrategy(name) not in available_strategies():
        raise PrerequisiteError(
            f"--read-strategy {name}: this kernel lacks PROCESS_VM_PIDFD and PROCESS_VM_NOWAIT;"
            " omit the option: reads do not wait for a target without them either"
        )


def _record(
    recording: Recording,
    source: SampleSource,
    asker: Asker,
    launched: Launched | None,
    ending: Ending,
) -> Profile:
    progress = _progress_line(recording.duration_s)
    leave_network()
    with closing(source):
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
