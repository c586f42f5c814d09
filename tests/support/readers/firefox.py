"""Firefox Profiler's own code, which loads and upgrades a profile: its command line tool, from npm."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.readers import MODULES, NODE, TIMEOUT_S, Refused, said

_TOOL = MODULES / "@firefox-devtools" / "profiler-cli" / "dist" / "profiler-cli.js"
_SESSION = "test"


class FirefoxProfiler:
    """A file that is open in the profiler."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"PROFILER_CLI_SESSION_DIR": str(folder)}
        """For the tool, which keeps its socket in the folder."""

    def run(self, *command: str | Path) -> str:
        """What a command of the tool prints."""
        return said(NODE, _TOOL, *command, env=self.env)

    def ask(self, *command: str) -> dict[str, Any]:
        """Its answer as values."""
        answer: dict[str, Any] = json.loads(self.run(*command, "--json", "--session", _SESSION))
        return answer

    def threads(self) -> dict[str, tuple[str, str]]:
        """Process and thread, each with its id, by the tool's handle for the thread."""
        return {
            thread["threadHandle"]: (
                f"{process['name']} ({process['pid']})",
                f"{thread['name']} ({thread['tid']})",
            )
            for process in self.ask("profile", "info", "--all")["processes"]
            for thread in process["threads"]
        }

    def stacks(self, handle: str, *, name: str = "nameWithLibrary") -> Counter[tuple[str, ...]]:
        """How many samples end in each stack of a thread: the names of its functions, root first."""
        tree = self.ask("thread", "samples-top-down", "--thread", handle, "--max-lines", "100000")
        found: Counter[tuple[str, ...]] = Counter()
        waiting = [((), node) for node in tree["regularCallTree"]["children"]]
        while waiting:
            below, node = waiting.pop()
            path = (*below, node[name])
            if node["selfSamples"]:
                found[path] += node["selfSamples"]
            waiting += [(path, child) for child in node["children"]]
        return found

    def categories(self, handle: str) -> dict[str, int]:
        """The samples of a thread by the category of their leaf."""
        breakdown = self.ask("thread", "samples", "--thread", handle)["categoryBreakdown"]
        return {each["name"]: each["samples"] for each in breakdown["categories"]}


@contextmanager
def opened(path: Path) -> Iterator[FirefoxProfiler]:
    """Loads the file. Raises `Refused` if the profiler does."""
    # Its socket is in there: the path has to be short.
    with tempfile.TemporaryDirectory(prefix="pq", dir="/tmp") as folder:
        profiler = FirefoxProfiler(Path(folder))
        # Not by its command `load`, which gives up where the machine is busy.
        serving = subprocess.Popen((NODE, _TOOL, "--daemon", path, "--session", _SESSION), env=profiler.env)
        try:
            _wait_until_loaded(profiler, serving)
            yield profiler
        finally:
            serving.terminate()
            serving.wait()


def _wait_until_loaded(profiler: FirefoxProfiler, serving: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    # Whoever asks before it listens takes it for dead, and clears its files away.
    while not _listens(profiler.folder):
        if serving.poll() is not None or time.monotonic() > deadline:
            raise Refused(f"it does not listen, and its exit code is {serving.poll()}")
        time.sleep(0.05)
    while True:
        try:
            profiler.run("status", "--session", _SESSION)
            return
        except Refused as refused:
            is_over = serving.poll() is not None or time.monotonic() > deadline
            if is_over or "Profile load failed" in str(refused):
                raise
        time.sleep(0.1)


def _listens(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return (folder / f"{_SESSION}.json").exists() and not client.connect_ex(
            str(folder / f"{_SESSION}.sock")
        )
