"""Starts the targets that a profiler could hang on (workloads/stuck.* beside this file), and watches them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from symbolizers.layout import Row
from symbolizers.python import layouts as cpython
from symbolizers.ruby import layouts as ruby
from tests.support.live.harness import RUBY, SYSTEM_PYTHON, WORKLOADS, Target

PYTHON_PARTS = ("code", "name", "lines", "thread", "frame")
RUBY_PARTS = (*PYTHON_PARTS, "vm", "iseq")
LAYOUTS = {"python": cpython.LAYOUTS, "ruby": ruby.LAYOUTS}
PROGRAMS = {"python": (SYSTEM_PYTHON,), "ruby": (RUBY, "--disable-gems")}
SUFFIXES = {"python": "py", "ruby": "rb"}
VERSIONS = {
    "python": ("-c", "import sys; print(*sys.version_info[:3])"),
    "ruby": ("-e", "puts RUBY_VERSION.tr('.', ' ')"),
}
"""The command by which an interpreter says its version."""
LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Place:
    """What stuck targets share: the library made of stuck.c, and a folder of their own."""

    library: Path
    folder: Path


def build_library(folder: Path) -> Path:
    """stuck.c as a shared library in `folder`."""
    library = folder / "stuck.so"
    # Bound at once: a look-up at the first call could make the loader read from the page that is away.
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-z,now"]
    subprocess.run(["cc", *flags, str(WORKLOADS / "stuck.c"), "-o", str(library)], check=True)
    return library


class FuseServer:
    """A running stuck_fuse.py: `mount` shows the files of `backing`, in a mount namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.mount, self.backing = folder / "mount", folder / "backing"
        self.mount.mkdir(parents=True)
        self.backing.mkdir()
        self._target = Target(
            [SYSTEM_PYTHON, str(WORKLOADS / "stuck_fuse.py"), str(self.mount), str(self.backing)]
        )
        self.enter = ("nsenter", f"--mount=/proc/{self._target.process.pid}/ns/mnt")

    def obey(self, command: str) -> None:
        """Returns when the server has done so."""
        process = self._target.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{command}\n")
        assert process.stdout.readline() == "ready\n"

    def end(self) -> None:
        """Ends the server; the kernel then ends whatever waits for it."""
        if self._target.process.poll() is None:
            self._target.process.kill()
            self._target.process.communicate()


@contextmanager
def fuse_server(folder: Path) -> Iterator[FuseServer]:
    """A server that is gone at the end, and its mount with it."""
    server = FuseServer(folder)
    try:
        yield server
    finally:
        server.end()


class Stuck:
    """A stuck target that is ready. `come` gives it what it waits for."""

    def __init__(self, target: Target, name: str, come: Callable[[], None]) -> None:
        self.target, self.name, self.come = target, name, come
        self.pid = target.process.pid

    def cpu_s(self) -> float:
        """CPU seconds of the whole process: clock_getcpuclockid(3) of another process."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def goes_on_s(self) -> float:
        """Gives it what it waits for; returns the seconds until it has done all that was left to do."""
        began_s = time.monotonic()
        self.come()
        truth = self.target.truth()
        assert truth["failed"] == 0, (self.name, os.strerror(truth["failed"]))
        assert truth["name"] == "stuck_burner"
        return time.monotonic() - began_s


@cache
def layout_of(language: str) -> Row:
    """The layout row of the system's interpreter."""
    command = [*PROGRAMS[language], *VERSIONS[language]]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    layout = LAYOUTS[language].find(tuple(map(int, told.split())))
    assert layout is not None, told
    return layout


def interpreter_files(language: str) -> list[Path]:
    """The system's interpreter and, for Ruby, the library that it is in."""
    program = Path(PROGRAMS[language][0]).resolve()
    if language == "python":
        return [program]
    library = 'puts File.join(RbConfig::CONFIG["archlibdir"], RbConfig::CONFIG["LIBRUBY_SONAME"])'
    command = [RUBY, "-rrbconfig", "-e", library]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [program, Path(told.strip())]


def command_of(
    language: str,
    *options: str,
    place: Place,
    program: Sequence[str] = (),
) -> list[str]:
    """The command of a stuck target, run by `program` or the system's interpreter."""
    layout = layout_of(language)
    script = WORKLOADS / f"stuck.{SUFFIXES[language]}"
    row = json.dumps({name: layout[name] for name in layout.fields if layout.has(name)})
    given = ("--library", str(place.library), "--offsets", row)
    return [*(program or PROGRAMS[language]), str(script), *given, *options]


@contextmanager
def _started(
    command: Sequence[str], name: str, come: Callable[[Target], None], *, server: FuseServer | None = None
) -> Iterator[Stuck]:
    target = Target([*server.enter, *command] if server is not None else command)
    try:
        yield Stuck(target, name, lambda: come(target))
    finally:
        target.process.kill()
        if server is not None:
            server.end()  # in D state, the target ends no sooner
        target.process.communicate()


@contextmanager
def on_userfault(place: Place, language: str, part: str) -> Iterator[Stuck]:
    """A target that waits for a page under a userfaultfd, with `part` on it."""
    command = command_of(language, "--by", "userfault", "--part", part, place=place)
    with _started(command, f"{language} userfault {part}", Target.go) as stuck:
        yield stuck


@contextmanager
def on_file(place: Place, language: str, part: str) -> Iterator[Stuck]:
    """A target that waits for a page of a file on a FUSE mount of its own, with `part` on it."""
    with fuse_server(place.folder / f"{language}-{part}") as server:
        files = ("--file", str(server.mount / "held"), "--backing", str(server.backing / "held"))
        command = command_of(language, "--by", "file", "--part", part, *files, place=place)
        name = f"{language} file {part}"
        with _started(command, name, lambda _: server.obey("thaw"), server=server) as stuck:
            yield stuck


@contextmanager
def under_mmap_lock(place: Place, language: str) -> Iterator[Stuck]:
    """A target that waits inside of mmap() and holds the mmap lock for writing."""
    with fuse_server(place.folder / f"{language}-lock") as server:
        (server.backing / "held").write_bytes(bytes(4096))
        command = command_of(language, "--by", "lock", "--file", str(server.mount / "held"), place=place)
        name = f"{language} lock"
        with _started(command, name, lambda _: server.obey("thaw"), server=server) as stuck:
            yield stuck


@contextmanager
def of_stuck_executable(place: Place, language: str) -> Iterator[Stuck]:
    """A target whose interpreter lies on a FUSE mount that answers nothing any more."""
    with fuse_server(place.folder / f"{language}-executable") as server:
        files = interpreter_files(language)
        for file in files:
            (server.backing / file.name).symlink_to(file)
        program = ["env", f"LD_LIBRARY_PATH={server.mount}", str(server.mount / files[0].name)]
        command = command_of(language, "--by", "nothing", place=place, program=program)

        def come(target: Target) -> None:
            server.obey("thaw")
            target.go()

        with _started(command, f"{language} executable", come, server=server) as stuck:
            server.obey("freeze")
            yield stuck


@contextmanager
def not_stuck(place: Place, language: str, *, perf_map: bool = False) -> Iterator[Stuck]:
    """A target that burns as the others do, and waits for nothing; `perf_map`: its perf map is a FIFO."""
    command = command_of(language, "--by", "nothing", place=place)
    with _started(command, f"{language} nothing", Target.go) as stuck:
        fifo = Path(f"/tmp/perf-{stuck.pid}.map")
        if perf_map:
            os.mkfifo(fifo)
        try:
            yield stuck
        finally:
            fifo.unlink(missing_ok=True)


class Watch(threading.Thread):
    """Looks at the threads of targets, again and again: `stopped` has the pids with one in state T or t."""

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self._tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
        self._end = threading.Event()
        self.stopped: set[int] = set()
        self.looks = 0
        self.start()

    def run(self) -> None:
        """Looks until `end`."""
        while not self._end.wait(LOOK_EVERY_S):
            self.looks += 1
            for task in self._tasks:
                with suppress(FileNotFoundError, ProcessLookupError):
                    state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                    if state in "Tt":
                        self.stopped.add(int(task.parts[2]))

    def end(self) -> set[int]:
        """Ends the watch; returns the pids that were seen stopped."""
        self._end.set()
        self.join()
        return self.stopped
