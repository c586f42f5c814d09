"""Recordings that end at any instant, or lose their folder: whole files, a named rescue file, or none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import termios
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.profiler.test_cli import busy_shell, on_terminal
from tests.support.live.harness import PIDFLAME, parse_folded

PATIENCE_S = 60.0
INSTANTS = 50
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
RESCUED = re.compile(r"cannot write (\S+): (.+); (?:the recording is|its contents are) in (\S+)")


def check_svg(text: str) -> None:
    assert ElementTree.fromstring(text).tag.endswith("svg")


NAMES: dict[str, Callable[[str], object]] = {
    "out.svg": check_svg,
    "out.folded": parse_folded,
    "stats.json": json.loads,
}
"""The files of a recording, and what fails if one of them is cut."""


def command(folder: Path, *options: str) -> list[str]:
    svg, folded, stats = (str(folder / name) for name in NAMES)
    return [PIDFLAME, "record", "-o", svg, "-o", folded, "--stats", stats, *options]


def check_whole(folder: Path) -> set[str]:
    """The names of the files in the folder, all of which are whole."""
    found = os.listdir(folder)
    for name in found:
        NAMES[name]((folder / name).read_text())
    return set(found)


def rescued(said: str) -> dict[str, Path]:
    """Rescue files by the name of the output, all of them whole."""
    files = {os.path.basename(path): Path(file) for path, _, file in RESCUED.findall(said)}
    for name, file in files.items():
        NAMES[name](file.read_text())
        assert file.stat().st_mode & 0o777 == 0o600
    return files


@pytest.fixture(autouse=True)
def rescues(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rescue files go."""
    folder = tmp_path_factory.mktemp("rescues")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@dataclass(frozen=True)
class Ended:
    """A recording that got a signal."""

    folder: Path
    code: int
    said: str
    took_s: float
    was_open: bool
    """Whether it had opened its outputs when the signal came."""

    def outcome(self) -> str:
        """What became of it; an assertion fails if that must not be."""
        found = check_whole(self.folder)
        if found:
            assert found == NAMES.keys(), self
            assert self.code == 0, self
            assert self.said.endswith(" lost\n"), self
            return "written"
        assert not self.was_open, self
        # It was in its imports, or the interpreter's own start.
        assert self.code in {1, *(-number for number in SIGNALS)}, self
        return "ended before it began"


def ended_at(folder: Path, instant_s: float, number: signal.Signals) -> Ended:
    """A recording that gets a signal so many seconds after it was started."""
    folder.mkdir()
    start_s = time.monotonic()
    with subprocess.Popen(
        command(folder, "-d", "1"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(instant_s)
        was_open = bool(os.listdir(folder))
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    return Ended(folder, process.returncode, said, time.monotonic() - start_s, was_open)


@pytest.mark.timeout(600)
def test_at_no_instant_does_a_signal_cut_a_file(tmp_path: Path, rescues: Path) -> None:
    """Every other instant is in the last part, when names are read and files written."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = ended_at(tmp_path / "whole", 0.0, signal.SIGCONT)
    assert whole.outcome() == "written"
    outcomes: Counter[str] = Counter()
    opened = 0
    for number in range(INSTANTS):
        first_s = whole.took_s * 0.6 if number % 2 else 0.0
        instant_s, which = chance.uniform(first_s, whole.took_s), chance.choice(SIGNALS)
        print(f"{number}: {which.name} after {instant_s:.4f} s")
        ended = ended_at(tmp_path / str(number), instant_s, which)
        outcomes[ended.outcome()] += 1
        opened += ended.was_open
        assert which != signal.SIGPIPE or not ended.was_open or ended.code == 0
    print(outcomes)
    assert opened >= INSTANTS // 2
    assert outcomes["written"] >= INSTANTS // 4
    assert os.listdir(rescues) == []


def test_a_storm_of_signals_cuts_no_file(tmp_path: Path) -> None:
    with busy_shell(), on_terminal(*command(tmp_path)[1:]) as recording:
        recording.until_samples()
        while recording.process.poll() is None:
            recording.process.send_signal(random.choice((signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)))
            time.sleep(0.0005)
        assert recording.process.returncode == 0
    assert check_whole(tmp_path) == NAMES.keys()


def test_a_folder_that_is_gone_costs_no_recording(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    kept = tmp_path / "kept.folded"
    with subprocess.Popen(
        [*command(gone, "-d", "1"), "-o", str(kept)], stderr=subprocess.PIPE, text=True
    ) as process:
        while not os.listdir(gone):  # the outputs are opened before anything is recorded
            time.sleep(0.01)
        shutil.rmtree(gone)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert rescued(said).keys() == NAMES.keys(), said
    parse_folded(kept.read_text())
    assert said.endswith(" lost\n")
    assert not gone.exists()


def test_a_terminal_that_is_closed_ends_a_recording_that_then_writes_its_files(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path),
        stdin=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    while b" samples" not in said:
        said += os.read(ours, 4096)
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    assert check_whole(tmp_path) == NAMES.keys()


def test_closed_descriptors_do_not_become_files(tmp_path: Path) -> None:
    script = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command(tmp_path, "-d", "0.3")], timeout=PATIENCE_S
    )
    assert done.returncode == 0
    assert check_whole(tmp_path) == NAMES.keys()


def test_the_files_of_a_command_that_fails_are_all_tried(tmp_path: Path) -> None:
    """The command's exit code is passed on; if it is 0, a file that was not written makes it 1."""
    codes = []
    for code in (0, 7):
        folder = tmp_path / str(code)
        folder.mkdir()
        script = f"while ! ls {folder} | grep -q part; do :; done; touch {folder}/out.svg; exit {code}"
        done = subprocess.run(
            [*command(folder), "--", "/bin/sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        codes.append(done.returncode)
        assert rescued(done.stderr).keys() == {"out.svg"}
        (folder / "out.svg").unlink()
        assert check_whole(folder) == {"out.folded", "stats.json"}
    assert codes == [1, 7]
