"""Signals before, while and after outputs are written: none cuts a file, and there is a way out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.process.targets import ROOT

PATIENCE_S = 30.0
PROGRAM = """
import sys, time
from contextlib import closing
from profiler.cli import main
from profiler.commands import recording
from profiler.commands.ending import Ending
from profiler.commands.outputs import Outputs
from profiler.commands.results import Results
from profiler.export.registry import Format
from profiler.profile.view import View
from tests.support.export_samples import profile_of

def write(profile, stream):
    stream.write(b"first half, ")
    stream.flush()
    print("writing", flush=True)
    sys.stdin.readline()
    stream.write(b"second half")

def run(options, asker, loading):
    slow = Format("slow", (".slow",), write)
    files = [(path, slow) for path in options.outputs]
    with Ending() as ending, closing(Outputs(files, None, force=False)) as outputs:
        ending.removes(outputs, Results((), View(), full_names=False, full_paths=False))
        if options.lines:
            print("waiting", flush=True)
            sys.stdin.readline()
            ending.check()
        return int(not outputs.deliver(profile_of()))

recording.record = run
main()
"""
"""`pidflame record` with a recording that is over at once, and a format that takes its time. With --lines, it
waits before it records. A line on stdin lets it go on."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Slow:
    def __init__(self, folder: Path, *options: str, wrapper: Sequence[str] = ()) -> None:
        command = [*wrapper, sys.executable, "-c", PROGRAM, "record", *options]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=0,
        )
        self.said = ""

    def until(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n", self.finish()

    def until_said(self, text: str) -> None:
        assert self.process.stderr is not None
        while text not in self.said:
            heard = self.process.stderr.readline()
            assert heard, self.said
            self.said += heard

    def finish(self) -> tuple[int, str]:
        """Lets it go on to its end: exit code and stderr."""
        _, said = self.process.communicate("\n\n\n", timeout=PATIENCE_S)
        return self.process.returncode, self.said + said


@contextmanager
def slow(folder: Path, *options: str, wrapper: Sequence[str] = ()) -> Iterator[Slow]:
    started = Slow(folder, *options, wrapper=wrapper)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


@pytest.mark.parametrize("number", [*ENDING, signal.SIGPIPE])
def test_a_signal_while_files_are_written_cuts_none(number: signal.Signals, tmp_path: Path) -> None:
    with slow(tmp_path, "-o", "a.svg", "-o", "b.svg") as writing:
        writing.until("writing")
        for _ in range(1 if number == signal.SIGINT else 5):
            writing.process.send_signal(number)
        code, said = writing.finish()
    assert code == 0, said
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.svg", "b.svg"), "first half, second half"
    )


def test_the_second_ctrl_c_says_what_the_third_does(tmp_path: Path) -> None:
    with slow(tmp_path, "-o", "a.svg") as writing:
        writing.until("writing")
        for _ in range(2):
            writing.process.send_signal(signal.SIGINT)
            time.sleep(0.1)  # two at once may come as one
        writing.until_said("Ctrl-C once more gives it up")
        code, said = writing.finish()
    assert code == 0, said
    assert (tmp_path / "a.svg").read_text() == "first half, second half"


def test_the_third_ctrl_c_gives_up_and_leaves_no_cut_file(tmp_path: Path) -> None:
    with slow(tmp_path, "-o", "a.svg", "-o", "b.svg", "-o", "c.svg") as writing:
        writing.until("writing")
        assert writing.process.stdin is not None
        writing.process.stdin.write("\n")
        writing.until("writing")
        end_s = time.monotonic() + PATIENCE_S
        while writing.process.poll() is None and time.monotonic() < end_s:
            writing.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        code, said = writing.finish()
    assert code == 1
    assert "not written: b.svg, c.svg\n" in said
    assert os.listdir(tmp_path) == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "first half, second half"


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_before_the_command_was_started_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    with slow(tmp_path, "--lines", "-o", "a.svg", "--", "true") as waiting:
        waiting.until("waiting")
        waiting.process.send_signal(number)
        code, said = waiting.finish()
    assert code == 1
    assert said == f"pidflame: ended by {number.name}: the command was not started\n"
    assert os.listdir(tmp_path) == []


def test_nohup_holds(tmp_path: Path) -> None:
    with slow(tmp_path, "--lines", "-o", "a.svg", wrapper=("nohup",)) as waiting:
        waiting.until("waiting")
        waiting.process.send_signal(signal.SIGHUP)
        code, said = waiting.finish()
    assert code == 0, said
    assert (tmp_path / "a.svg").read_text() == "first half, second half"
