"""The recording as a file: it says what the other formats say, and survives its recorder."""

from __future__ import annotations

import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from profiler.profile.naming import with_names
from profiler.profile.recording import query, read_profile, read_summary
from profiler.profile.summary import summary_of
from tests.support.live.harness import PIDFLAME, record

SCRATCH = Path("/var/tmp")
KILLS = 20
BURNER = """
import time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(999))
burn({})
"""
LAST_SLICE_S = 1.5
"""A slice is a second; a busy machine may come to it late."""


def report(*arguments: str) -> str:
    return subprocess.run([PIDFLAME, "report", *arguments], capture_output=True, text=True, check=True).stdout


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def folders() -> set[Path]:
    return set(SCRATCH.glob("pidflame-*"))


@pytest.mark.parametrize(
    "options",
    [(), ("--threads",), ("--keep-dropped",), ("--lines",), ("--native",), ("--lines", "--native")],
    ids=lambda each: " ".join(each),
)
def test_a_report_says_what_the_recording_said(tmp_path: Path, options: tuple[str, ...]) -> None:
    kept = tmp_path / "run.pidflame"
    before = folders()
    recorded = record(
        tmp_path, "-F", "199", "-o", str(kept), *options, command=[sys.executable, "-c", BURNER.format(2)]
    )
    assert not folders() - before
    assert report(str(kept), "-o", "-", *options) == (tmp_path / "out.folded").read_text()
    assert recorded.stacks
    (((samples,),)) = query(str(kept), "SELECT sum(weight) FROM sample")[1]
    assert samples == recorded.stats["samples"]
    assert read_profile(str(kept)).losses.samples == samples
    ((interpreters,),) = query(str(kept), "SELECT interpreters FROM process WHERE command LIKE '%burn(2)%'")[
        1
    ]
    assert interpreters == f"python {platform.python_version()}"


def test_the_terminal_names_the_hottest_function(tmp_path: Path) -> None:
    kept = tmp_path / "run.pidflame"
    record(tmp_path, "-F", "199", "-o", str(kept), command=[sys.executable, "-c", BURNER.format(1)])
    text = report(str(kept))
    assert "self" in text.partition("hottest path")[0]
    assert "burn (<string>:3)" in text.partition("hottest path")[2]
    assert read_summary(str(kept)) == summary_of(with_names(read_profile(str(kept)).samples))


def test_a_recorder_that_is_killed_leaves_all_but_the_last_slice(tmp_path: Path) -> None:
    chosen = random.Random(20)
    command = [sys.executable, "-c", BURNER.format(60)]
    with subprocess.Popen(command) as burner:
        try:
            for number in range(KILLS):
                _kill_after(tmp_path / f"{number}.pidflame", burner.pid, chosen.uniform(0.5, 3.5))
        finally:
            burner.kill()


def _kill_after(kept: Path, target: int, seconds: float) -> None:
    before = folders()
    arguments = [PIDFLAME, "record", "-F", "199", "-p", str(target), "-o", str(kept)]
    recorder = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while not (made := folders() - before) or not any(made.pop().iterdir()):
        time.sleep(0.01)
    began_s, burnt_s = time.monotonic(), cpu_s(target)
    time.sleep(seconds)
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    lasted_s, burnt_s = time.monotonic() - began_s, cpu_s(target) - burnt_s
    (folder,) = folders() - before
    profile = read_profile(str(folder / "recording.pidflame"))
    assert any("cut off" in note for note in profile.notes)
    assert profile.duration_s >= lasted_s - LAST_SLICE_S
    assert sum(sample.count for sample in profile.samples) >= 0.9 * 199 * (burnt_s - LAST_SLICE_S)
    for left in folder.iterdir():
        left.unlink()
    os.rmdir(folder)
    for part in kept.parent.glob("*.part"):
        part.unlink()
