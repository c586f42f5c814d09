"""The command line. The only file that knows click, and the only place that prints errors."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType

import click
import psutil

from profiler import preflight
from profiler.capture.bcc_source import BccSource
from profiler.capture.source import EVENTS, Sampling
from profiler.errors import PidflameError, PrerequisiteError, TargetGone, UsageError
from profiler.export.registry import FORMATS, Format, format_for
from profiler.export.stats import summary, to_json
from profiler.export.text import warnings
from profiler.launch import Launched
from profiler.profile.model import Profile
from profiler.profile.paths import with_short_files
from profiler.run.session import Progress, Recording, Session
from symbolizers.asker import Asker
from symbolizers.process.deadline import DeadlineWorker
from symbolizers.process.identity import ProcessId, start_ticks_of
from symbolizers.process.memory import ReadStrategy, available_strategies

_PROGRESS_EVERY_S = 0.25


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pidflame")
def cli() -> None:
    """A system-wide sampling profiler: flame graphs with Python and Ruby names, and no process waits."""


@cli.command()
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
    "pids",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="PID",
    help="Record only this process; may be repeated.  [default: the whole system]",
)
@click.option("--children", is_flag=True, help="With -p: what these processes start, too.")
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="Where to write; may be repeated. The suffix says the format, '-' is stdout."
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
@click.option("--full-paths", is_flag=True, help="Show the files of Python and Ruby with their whole paths.")
@click.option(
    "--read-strategy",
    type=click.Choice(["auto", *(strategy.value for strategy in ReadStrategy)]),
    default="auto",
    show_default=True,
    help="How memory is read: by the kernel's own nowait reads, or only where pages are resident.",
)
@click.option(
    "--stats", type=click.Path(dir_okay=False), metavar="FILE", help="Write the run's figures as JSON."
)
@click.option("--keep-dropped", is_flag=True, help="Show dropped samples as frames that say why.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def record(
    duration: float | None,
    frequency: int,
    pids: tuple[int, ...],
    children: bool,
    outputs: tuple[str, ...],
    format_name: str | None,
    event: str,
    lines: bool,
    threads: bool,
    async_tasks: bool,
    full_paths: bool,
    read_strategy: str,
    stats: str | None,
    keep_dropped: bool,
    force: bool,
    command: tuple[str, ...],
) -> None:
    """Record stacks and write a flame graph.

    Everything that runs on this machine is recorded, unless -p names processes or a COMMAND is given after
    '--': then that command and all it starts.
    """
    asked_at_s = _program_start_s()
    files = _output_files(outputs, format_name)
    _refuse_overwriting([*(path for path, _ in files), *([stats] if stats else [])], force=force)
    for pid in pids:
        if not psutil.pid_exists(pid):
            raise TargetGone(f"there is no process {pid}; 'ps -e' lists those that run")
    preflight.check(sys.argv[1:])
    worker_options = [*(["--lines"] if lines else []), *_read_options(read_strategy)]
    launched = Launched(command) if command else None
    targets = (*pids, *([launched.pid] if launched else []))
    sampling = Sampling(frequency, targets or None, children or launched is not None, event)
    recording = Recording(
        sampling,
        duration,
        lines=lines,
        title=_title(pids, command),
        asked_at_s=asked_at_s,
        keep_dropped=keep_dropped,
        threads=threads,
        async_tasks=async_tasks,
    )
    profile = _record(recording, worker_options, launched)
    if not full_paths:
        profile = replace(profile, samples=with_short_files(profile.samples))
    _deliver(profile, files, stats)
    if launched is not None:
        sys.exit(launched.exit_code())


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine offers, what is missing, and which interpreters run.

    Exit code 0 when a recording would work, else 3.
    """
    # Here, so that a recording does not wait for what it never uses.
    from profiler import doctor_text
    from profiler.doctor import examine

    report = examine(["record"])
    click.echo((doctor_text.to_json if as_json else doctor_text.to_text)(report), nl=False)
    sys.exit(0 if report.works else PrerequisiteError.exit_code)


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
    except click.Abort:
        sys.exit(1)


def _read_options(name: str) -> list[str]:
    """What tells the worker how to read. Raises `PrerequisiteError` where this kernel can't do it so."""
    if name == "auto":
        return []
    if ReadStrategy(name) not in available_strategies():
        raise PrerequisiteError(
            f"--read-strategy {name}: this kernel lacks PROCESS_VM_PIDFD and PROCESS_VM_NOWAIT;"
            " leave the option away: reads wait for nobody without them either"
        )
    return [f"--read-strategy={name}"]


def _record(recording: Recording, worker_options: Sequence[str], launched: Launched | None) -> Profile:
    progress = _progress_line(recording.duration_s)
    asker = Asker(DeadlineWorker("symbolizers.worker", worker_options))
    source = BccSource(recording.sampling)
    with closing(asker), closing(source):
        session = Session(recording, source, asker)
        with _stopping_on_signals(session, launched):
            session.prepare()
            session.start()
            if launched is not None:
                launched.release()
            profile = session.run(progress)
    if progress is not None:
        sys.stderr.write("\n")
    return profile


@contextmanager
def _stopping_on_signals(session: Session, launched: Launched | None) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the command's end all end the recording, which then writes its files."""

    def stop(number: int, _frame: FrameType | None) -> None:
        session.stop()
        # A terminal sends Ctrl-C to the command itself; a SIGTERM is meant for us alone.
        if launched is not None and number == signal.SIGTERM:
            launched.forward(number)

    def child_ended(_number: int, _frame: FrameType | None) -> None:
        if launched is not None and launched.ended():
            session.stop()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGCHLD: child_ended}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress_line(duration_s: float | None) -> Callable[[Progress], None] | None:
    """A line that is written over and over, on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    of = "" if duration_s is None else f" of {duration_s:g}"
    shown_s = -_PROGRESS_EVERY_S

    def show(progress: Progress) -> None:
        nonlocal shown_s
        if progress.elapsed_s - shown_s >= _PROGRESS_EVERY_S:
            shown_s = progress.elapsed_s
            hint = "" if duration_s is not None else ", Ctrl-C ends"
            sys.stderr.write(
                f"\rrecording: {progress.elapsed_s:.0f}{of} s, {progress.samples} samples{hint} "
            )
            sys.stderr.flush()

    return show


def _output_files(outputs: Sequence[str], format_name: str | None) -> list[tuple[str, Format]]:
    """What to write and how. Raises `UsageError` before anything is recorded."""
    if not outputs:
        format_ = format_for("pidflame.svg", format_name)
        path = datetime.now().strftime("pidflame-%Y%m%d-%H%M%S") + format_.suffixes[0]
        return [(path, format_)]
    return [(path, format_for(path, format_name or ("folded" if path == "-" else None))) for path in outputs]


def _refuse_overwriting(paths: Sequence[str], *, force: bool) -> None:
    for path in paths:
        if path == "-":
            continue
        if not Path(path).absolute().parent.is_dir():
            raise UsageError(f"the folder of {path} does not exist")
        if not force and os.path.lexists(path):
            raise UsageError(f"{path} exists; --force overwrites it")


def _deliver(profile: Profile, files: Sequence[tuple[str, Format]], stats: str | None) -> None:
    """Writes all files, then says on stderr what a person should know of them."""
    for path, format_ in files:
        _write(path, format_, profile)
    if stats:
        Path(stats).write_text(to_json(profile), encoding="utf-8")
    for path, format_ in files:
        if path != "-":
            click.echo(
                f"wrote {path}" + (" (open it in a browser)" if format_.name == "svg" else ""), err=True
            )
    for note in profile.notes:
        click.echo(f"note: {note}", err=True)
    for warning in warnings(profile.losses):
        click.echo(f"warning: {warning}", err=True)
    click.echo(summary(profile.losses), err=True)


def _write(path: str, format_: Format, profile: Profile) -> None:
    try:
        if path == "-":
            format_.write(profile, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with open(path, "wb") as stream:
                format_.write(profile, stream)
    except OSError as error:
        raise PidflameError(f"cannot write {path}: {error.strerror}; write elsewhere with -o") from None


def _title(pids: Sequence[int], command: Sequence[str]) -> str:
    parts = [f"pid {pid}" for pid in pids] + ([shlex.join(command)] if command else [])
    return ", ".join(parts) or "whole system"


def _program_start_s() -> float:
    """When this process was started, on CLOCK_MONOTONIC; to the clock tick (10 ms)."""
    boot_s = ProcessId(os.getpid(), start_ticks_of(os.getpid())).start_ns() / 1e9
    return boot_s - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
