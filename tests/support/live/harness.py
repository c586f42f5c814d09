"""Runs `pidflame record` on targets whose truth is known, and reads what comes out."""

from __future__ import annotations

import json
import math
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKLOADS = Path(__file__).with_name("workloads")
SYSTEM_PYTHON = "/usr/bin/python3"
RUBY = "/usr/bin/ruby"
_SEPARATORS = (".", "#", "::", "\\")
"""What languages write before the last part of a qualified name."""
PIDFLAME = str(Path(sys.executable).with_name("pidflame"))


@dataclass(frozen=True)
class Recorded:
    """One finished recording: folded stacks (root first, counted), the ``--stats`` document, stderr."""

    stacks: Counter[tuple[str, ...]]
    stats: Mapping[str, Any]
    said: str
    exit_code: int
    truth: Mapping[str, Any]
    """What the recorded command wrote as its last line, if that was JSON."""

    def where(self, accept: Callable[[tuple[str, ...]], bool]) -> int:
        """Samples whose stack `accept`s."""
        return sum(count for stack, count in self.stacks.items() if accept(stack))

    def within(self, function: str, *, root: str = "") -> int:
        """Samples with a frame of `function` (its bare name), of processes whose root starts with `root`."""
        return self.where(
            lambda stack: stack[0].startswith(root) and any(is_frame_of(frame, function) for frame in stack)
        )

    def accounted(self) -> None:
        """Every sample is either in the folded file or dropped with a reason; all three places agree."""
        stats = self.stats
        shown = stats["symbolized"] + sum(stats["partial"].values())
        assert stats["samples"] == shown + sum(stats["dropped"].values())
        assert shown == self.stacks.total()
        assert sum(row["samples"] for row in stats["per_process"]) == stats["samples"]
        last = self.said.strip().splitlines()[-1]
        assert last.startswith(f"{stats['samples']} samples: {stats['symbolized']} symbolized, ")
        assert last.endswith(f"{stats['lost']} lost")


def is_frame_of(frame: str, function: str) -> bool:
    """Whether a folded frame is of `function`: its name, or the last part of its qualified name."""
    name = frame.partition(" (")[0]
    return name == function or name.endswith(tuple(before + function for before in _SEPARATORS))


def parse_folded(text: str) -> Counter[tuple[str, ...]]:
    """Folded lines as stacks; every line must parse."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[tuple(stack.split(";"))] += int(count)
    return stacks


def record(
    folder: Path, *options: str, command: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Recorded:
    """Records `command` (or what `options` say) to its end; the command's stdin is empty."""
    folded, stats = folder / "out.folded", folder / "stats.json"
    arguments = [PIDFLAME, "record", "-o", str(folded), "--stats", str(stats), "--force", *options]
    done = subprocess.run(
        [*arguments, *(["--", *command] if command else [])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **(environment or {})},
    )
    return _recorded(folded, stats, done.stderr, done.returncode, done.stdout)


def _recorded(folded: Path, stats: Path, said: str, exit_code: int, stdout: str) -> Recorded:
    assert folded.exists(), f"exit code {exit_code}:\n{said}"
    assert stats.exists(), said
    lines = [line for line in stdout.splitlines() if line.startswith("{")]
    return Recorded(
        parse_folded(folded.read_text()),
        json.loads(stats.read_text()),
        said,
        exit_code,
        json.loads(lines[-1]) if lines else {},
    )


def read_terminal(terminal: int) -> str:
    """What is written on the other end next; nothing when that is closed."""
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:
        return ""


class Recording:
    """A recording that goes on until `finish`, known to have begun."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self._folded, self._stats = folder / "out.folded", folder / "stats.json"
        self._terminal, stderr = pty.openpty()
        self.process = subprocess.Popen(
            [PIDFLAME, "record", "-o", self._folded, "--stats", self._stats, "--force", *options],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "NO_COLOR": "1"},
        )
        os.close(stderr)
        self._said = ""
        while "recording:" not in self._said:  # the progress line starts when sampling has
            if not self._hear():
                raise AssertionError(f"pidflame ended before it recorded:\n{self._said}")

    def finish(self) -> Recorded:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(2)
        return self.wait()

    def wait(self) -> Recorded:
        """Lets it end by itself."""
        while self._hear():
            pass
        os.close(self._terminal)
        exit_code = self.process.wait(timeout=60)
        return _recorded(self._folded, self._stats, self._said.replace("\r", "\n"), exit_code, "")

    def _hear(self) -> bool:
        heard = read_terminal(self._terminal)
        self._said += heard
        return bool(heard)


class Target:
    """A workload that is ready and waits to be told to go."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        line = self._line()
        assert line == "ready\n", line

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def go(self) -> None:
        """Lets it burn."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")

    def truth(self) -> dict[str, Any]:
        """What it says it did, when it is done; it stays until `end`."""
        document: dict[str, Any] = json.loads(self._line())
        return document

    def end(self) -> None:
        """Lets it exit."""
        self.process.communicate(timeout=60)


@contextmanager
def target(*command: str) -> Iterator[Target]:
    """A target that is gone at the end, whatever happens."""
    started = Target(command)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.communicate()


def workload(name: str, *arguments: str, interpreter: str = SYSTEM_PYTHON) -> list[str]:
    """The command that runs a program of tests/support/live/workloads."""
    return [RUBY if name.endswith(".rb") else interpreter, str(WORKLOADS / name), *arguments]


MOST_SIGMA = 4
"""A run of the tests compares some two hundred shares: at 3 sigma every second run would fail by chance."""


def assert_split(recorded: Recorded, truth: Mapping[str, float]) -> None:
    """The samples lie in the functions as the CPU time did, within `MOST_SIGMA` of a sample of that size."""
    assert_shares({name: recorded.within(name) for name in truth}, truth)


def assert_shares(samples: Mapping[str, int], truth: Mapping[str, float]) -> None:
    """The same of `samples` that were counted already."""
    total, cpu_s = sum(samples.values()), sum(truth.values())
    assert total > 100, samples
    for name, spent_s in truth.items():
        share = spent_s / cpu_s
        sigma = math.sqrt(share * (1 - share) / total)
        assert abs(samples[name] / total - share) <= MOST_SIGMA * sigma, (name, samples, truth)
