"""Records, as the options of `pidflame record` say, and writes what was asked for."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext

from msgspec import Struct

from profiler import preflight
from profiler.capture.kernel_source import KernelSource
from profiler.capture.loading import Loading
from profiler.capture.source import Sampling
from profiler.commands.ending import Ending
from profiler.commands.outputs import Outputs, output_files
from profiler.commands.progress import progress_line, say_step
from profiler.commands.results import Results
from profiler.commands.talk import Volume, say, show_status
from profiler.commands.targets import Target, find_targets, target_names
from profiler.errors import PrerequisiteError, UsageError
from profiler.export.registry import Format, formats_of, needs_recording
from profiler.fetcher import Fetcher, servers
from profiler.invoker import trusted_users
from profiler.launch import Launched, check_executable
from profiler.priority import restore_session
from profiler.privileges import drop_what_loading_took, leave_network
from profiler.profile.model import Profile
from profiler.profile.view import View
from profiler.run.request import Recording
from symbolizers.asker import Asker
from symbolizers.process.identity import ProcessId, start_ticks_of
from symbolizers.process.memory import ReadStrategy, available_strategies

_NAMED_TARGETS = 10


class Options(Struct, frozen=True):
    """The command line of a recording, one field an option."""

    duration: float | None
    frequency: int
    targets: tuple[str, ...]
    children: bool
    no_self: bool
    outputs: tuple[str, ...]
    format_name: str | None
    event: str
    lines: bool
    threads: bool
    containers: bool
    async_tasks: bool
    native: bool
    inlines: bool
    debuginfod: bool
    full_names: bool
    full_paths: bool
    read_strategy: str
    stats: str | None
    keep_partial: bool
    drop_partial: bool
    keep_dropped: bool
    no_cache: bool
    force: bool
    command: tuple[str, ...]


def record(options: Options, asker: Asker, loading: Loading) -> int:
    """Records and writes, with what the `asker` finds out and what is `loading`; returns the exit code."""
    gc.freeze()
    gc.enable()
    asked_at_s = _program_start_s()
    if options.keep_partial and options.drop_partial:
        raise UsageError("--keep-partial and --drop-partial exclude each other; give one of them")
    files = output_files(options.outputs, options.format_name)
    targets = find_targets(options.targets, children=options.children)
    if options.command:
        check_executable(options.command[0])
    view = View(
        lines=options.lines,
        native=options.native,
        keep_dropped=options.keep_dropped,
        show_containers=options.containers,
    )
    results = Results(files, view, full_names=options.full_names, full_paths=options.full_paths)
    with closing(results), Ending() as ending, closing(_outputs(files, options)) as outputs:
        ending.removes(outputs, results)
        preflight.check(sys.argv[1:])
        _check_strategy(options.read_strategy)
        if options.inlines:
            _check_inlines()
        fetcher = Fetcher(servers()) if options.debuginfod else None
        if options.command:
            ending.check()
        launched = Launched(options.command) if options.command else None
        if targets:
            say(f"recording {_listed(targets)}", at=Volume.USUAL)
        recording = _recording(options, targets, launched, asked_at_s)
        source = KernelSource(recording.sampling, loading)
        loading.begin()
        with closing(fetcher) if fetcher is not None else nullcontext():
            profile = _record(recording, source, asker, launched, ending, results, fetcher)
        if launched is not None:
            launched.check_that_it_ran()
        shown = results.shown_as(profile)
        delivered = outputs.deliver(shown, results.contents(shown))
        code = launched.exit_code() if launched else int(bool(targets) and not profile.losses.samples)
    return code or int(not delivered)


def _recording(
    options: Options, found: Sequence[Target], launched: Launched | None, asked_at_s: float
) -> Recording:
    keeps_lines = options.lines or needs_recording(formats_of(options.outputs, options.format_name))
    targets = (*(each.pid for each in found), *([launched.pid] if launched else []))
    with_children = options.children or launched is not None
    return Recording(
        Sampling(
            options.frequency,
            targets or None,
            with_children,
            options.event,
            lines=keeps_lines,
            inlines=options.inlines,
            threads=options.threads,
            singly=options.async_tasks,
        ),
        options.duration,
        keeps_lines=keeps_lines,
        lines=options.lines,
        native=options.native,
        inlines=options.inlines,
        title=_title(target_names(options.targets, found), options.command),
        asked_at_s=asked_at_s,
        keep_partial=options.keep_partial,
        drop_partial=options.drop_partial,
        keep_dropped=options.keep_dropped,
        threads=options.threads,
        containers=options.containers,
        async_tasks=options.async_tasks,
        without_self=options.no_self,
        trusted=trusted_users(),
    )


def _outputs(files: Sequence[tuple[str, Format]], options: Options) -> Outputs:
    return Outputs(files, options.stats, force=options.force, numbered=not options.outputs)


def _listed(targets: Sequence[Target]) -> str:
    """The first of them by name, and how many more there are."""
    from profiler.export.text import printable  # here: most recordings have no target

    shown = ", ".join(f"{printable(each.name)} ({each.pid})" for each in targets[:_NAMED_TARGETS])
    more = len(targets) - _NAMED_TARGETS
    return f"{shown} and {more} more" if more > 0 else shown


def _check_strategy(name: str) -> None:
    """Raises `PrerequisiteError` if this kernel lacks what it takes to read so."""
    if name != "auto" and ReadStrategy(name) not in available_strategies():
        raise PrerequisiteError(
            f"--read-strategy {name}: this kernel lacks PROCESS_VM_PIDFD and PROCESS_VM_NOWAIT;"
            " omit the option: reads do not wait for a target without them either"
        )


def _check_inlines() -> None:
    """Raises `PrerequisiteError` if nothing here can read debug information."""
    from symbolizers.native import inlines  # here: it comes with all that reads ELF files, and takes 20 ms

    if not inlines.is_installed():
        raise PrerequisiteError(
            f"--inlines needs the package {inlines.LIBRARY}: '{sys.executable} -m pip install"
            f" {inlines.LIBRARY}' gets it, as does the extra pidflame[inlines]"
        )


def _record(
    recording: Recording,
    source: KernelSource,
    asker: Asker,
    launched: Launched | None,
    ending: Ending,
    results: Results,
    fetcher: Fetcher | None,
) -> Profile:
    leave_network()
    with closing(source):
        # Half of pidflame comes with it, while the kernel is at the sampler.
        from profiler.run.session import Session

        session = Session(recording, source, asker, say_step, fetcher.fetch if fetcher is not None else None)
        with ending.stops(session, launched):
            session.prepare()
            session.start()
            restore_session()
            drop_what_loading_took()
            session.preload()
            if launched is not None:
                launched.release()
            profile = session.run(progress_line(recording.duration_s), results.journal())
    show_status("")
    return profile


def _title(names: Sequence[str], command: Sequence[str]) -> str:
    parts = [*names, *([shlex.join(command)] if command else [])]
    return ", ".join(parts) or "whole system"


def _program_start_s() -> float:
    """When this process was started, on CLOCK_MONOTONIC; to the clock tick (10 ms)."""
    boot_s = ProcessId(os.getpid(), start_ticks_of(os.getpid())).start_ns() / 1e9
    return boot_s - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
