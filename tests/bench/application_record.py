"""Records one application with pidflame, from its first instruction on, and counts by ``--stats``."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.application_setup import NotSetUp, SetUp, environment, run

PIDFLAME = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "pidflame"
HZ = 100
LOAD_S = 20
CONNECTIONS = 8
PATIENCE_S = 300.0
START_PATIENCE_S = 30.0
POLL_S = 0.05
RING_BUFFER_FULL = "ring_buffer_full"
REPEATED = 'for turn in $(seq "$0"); do "$@" || exit; done'
"""A shell program: runs its arguments as often as its name says."""
WITH_PID = 'echo $$ >"$0"; exec "$@"'
"""A shell program: becomes its arguments, having left its pid in the file that it is called."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Samples of one application, and those of them that are not whole, by reason."""

    samples: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    partial: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.samples + other.samples,
            Counter(self.dropped) + Counter(other.dropped),
            Counter(self.partial) + Counter(other.partial),
        )

    @property
    def lost(self) -> int:
        """Dropped and partial ones together."""
        return sum(self.dropped.values()) + sum(self.partial.values())


def figures_of(stats: Path) -> Figures:
    """The figures of a whole recording. What found the ring buffer full counts as dropped here."""
    said = json.loads(stats.read_text())
    dropped = {**said["dropped"], RING_BUFFER_FULL: said["lost"]}
    partial = said["partial"]
    return Figures(
        said["samples"] + said["lost"],
        {reason: count for reason, count in dropped.items() if count},
        {reason: count for reason, count in partial.items() if count},
    )


def record(application: SetUp, folder: Path) -> Figures:
    """Records it once; the folded stacks and what was said stay in `folder`. Raises `NotSetUp`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="pidflame-applications-") as place:
        port = free_port()
        command = application.command(Path(place), port)
        if application.application.is_server:
            url = f"http://127.0.0.1:{port}{application.application.path}"
            _record_server(command, url, application.source, folder)
        else:
            times = application.application.times
            run_to_end(command, folder=application.source)
            with recording(repeated(command, times), application.source, folder) as profiler:
                wait_for(profiler, folder)
    return figures_of(folder / "stats.json")


def run_to_end(command: Sequence[str], *, folder: Path) -> None:
    """Runs it once with nobody watching: what it caches is warm then. Raises `NotSetUp` where it fails."""
    run(*command, folder=folder, variables=environment())


def repeated(command: Sequence[str], times: int) -> tuple[str, ...]:
    """A command that runs `command` in new processes, one after the other, until one fails."""
    return tuple(command) if times == 1 else ("sh", "-c", REPEATED, str(times), *command)


@contextmanager
def recording(
    command: Sequence[str], where: Path, folder: Path, options: Sequence[str] = ("--keep-dropped",)
) -> Iterator[subprocess.Popen[bytes]]:
    """pidflame as it records `command`; leaving the block ends what is still there of both."""
    files = ("-o", str(folder / "stacks.folded"), "--stats", str(folder / "stats.json"))
    words = [str(PIDFLAME), "record", "-F", str(HZ), *files, *options, "--", *command]
    with (folder / "words").open("wb") as sink:
        profiler = subprocess.Popen(
            words,
            cwd=where,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield profiler
    finally:
        with suppress(ProcessLookupError):
            os.killpg(profiler.pid, signal.SIGKILL)
        profiler.wait()


def wait_for(profiler: subprocess.Popen[bytes], folder: Path) -> None:
    """Waits for the end of the recording and of its command. Raises `NotSetUp` where that fails."""
    try:
        code = profiler.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise NotSetUp(f"the recording did not end within {PATIENCE_S:.0f} s") from None
    if code:
        raise NotSetUp(f"the recorded command exited with {code}: {_last_words(folder)}")


def _last_words(folder: Path) -> str:
    lines = (folder / "words").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _record_server(command: Sequence[str], url: str, where: Path, folder: Path) -> None:
    """Records it while pages are asked for. pidflame ends by Ctrl-C, as long as the server still runs."""
    pid_file, stats = folder / "pid", folder / "stats.json"
    with recording(("sh", "-c", WITH_PID, str(pid_file), *command), where, folder) as profiler:
        _until(lambda: answers(url), profiler, folder, f"nothing answers at {url}")
        ask_for_pages(url)
        profiler.send_signal(signal.SIGINT)
        _until(lambda: stats.exists() and stats.stat().st_size > 0, profiler, folder, "it wrote no figures")
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            profiler.wait(PATIENCE_S)


def _until(
    condition: Callable[[], bool], profiler: subprocess.Popen[bytes], folder: Path, otherwise: str
) -> None:
    """Returns when it is true. Raises `NotSetUp` where the recording ends first, or this takes too long."""
    deadline = time.monotonic() + START_PATIENCE_S
    while not condition():
        if profiler.poll() is not None or time.monotonic() > deadline:
            raise NotSetUp(f"{otherwise}: {_last_words(folder)}")
        time.sleep(POLL_S)


def answers(url: str) -> bool:
    """Whether there is a page."""
    try:
        with urllib.request.urlopen(url, timeout=START_PATIENCE_S) as page:
            return bool(page.read())
    except OSError:
        return False


def ask_for_pages(url: str) -> None:
    """Asks for the page over and over, for `LOAD_S`. Raises `NotSetUp` where some requests fail."""
    wrk = ("wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{LOAD_S}s", url)
    said = run(*wrk)
    if "Non-2xx" in said or not re.search(r"\d+ requests in", said):
        raise NotSetUp(f"not every request for {url} was answered with a page")


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
