"""Which processes -p names: real ones, started for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import pytest

from profiler.commands.targets import Target, find_targets, target_names
from profiler.errors import TargetGone, UsageError

FOREVER = "600"
PATIENCE_S = 20.0


@contextmanager
def running(*command: str) -> Iterator[int]:
    """The pid of a process that has become `command`."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            yield process.pid
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def child_of(pid: int, name: str) -> psutil.Process:
    """The child of a process, once it has this name."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        for child in psutil.Process(pid).children():
            if child.name() == name:
                return child
        time.sleep(0.01)
    raise AssertionError(f"process {pid} has no child {name}")


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A program with a name that no other process has."""
    return Path(shutil.copy("/bin/sleep", tmp_path / f"pf-{os.getpid()}"))


def test_a_pid_is_a_process() -> None:
    with running("cat") as pid:
        assert find_targets([str(pid)], children=False) == (Target(pid, "cat"),)


def test_a_name_is_every_process_with_it(named: Path) -> None:
    with running(str(named), FOREVER) as one, running(str(named), FOREVER) as other:
        found = find_targets([named.name], children=False)
        assert {*found} == {Target(one, named.name), Target(other, named.name)}


def test_a_process_that_is_named_twice_is_one(named: Path) -> None:
    with running(str(named), FOREVER) as pid:
        assert find_targets([named.name, str(pid), named.name], children=True) == (Target(pid, named.name),)


def test_children_that_run_are_taken_where_that_is_asked_for(named: Path) -> None:
    with running("sh", "-c", f"{named} {FOREVER} & wait") as pid:
        child = child_of(pid, named.name)
        assert find_targets([str(pid)], children=False) == (Target(pid, "sh"),)
        assert {*find_targets([str(pid)], children=True)} == {
            Target(pid, "sh"),
            Target(child.pid, named.name),
        }


@pytest.mark.parametrize("text", ["no-such-name", str(1 << 22), str(1 << 70)])
def test_what_no_process_has_is_gone(text: str) -> None:
    with pytest.raises(TargetGone, match=text):
        find_targets([text], children=False)


def test_a_long_name_is_found_by_all_of_it(tmp_path: Path) -> None:
    """The kernel keeps 15 bytes of it, and the rest is not read from the process, which could wait."""
    program = Path(shutil.copy("/bin/sleep", tmp_path / f"pf-with-a-long-name-{os.getpid()}"))
    with running(str(program), FOREVER) as pid:
        for name in (program.name, program.name[:15]):
            assert find_targets([name], children=False) == (Target(pid, program.name[:15]),)
        with pytest.raises(TargetGone):
            find_targets([program.name[:14]], children=False)


def test_a_thread_is_no_process() -> None:
    waits = threading.Event()
    thread = threading.Thread(target=waits.wait)
    thread.start()
    try:
        with pytest.raises(UsageError, match=f"a thread of process {os.getpid()}; -p {os.getpid()} records"):
            find_targets([str(thread.native_id)], children=False)
    finally:
        waits.set()
        thread.join()


def test_a_process_that_has_ended_is_gone_although_it_has_its_pid() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TargetGone, match="has ended"):
            find_targets([str(process.pid)], children=False)


def test_zero_is_no_process() -> None:
    with pytest.raises(click.BadParameter):
        find_targets(["0"], children=False)


def test_a_title_names_programs() -> None:
    targets = (Target(7, "python3"), Target(8, "python3"), Target(9, "ruby"), Target(10, ""))
    assert target_names(("7",), targets) == ["python3 (7)"]
    assert target_names(("07", "8", "9", "7"), targets) == ["python3 × 2", "ruby (9)"]
    assert target_names(("ruby", "8", "9"), targets) == ["ruby", "python3 (8)"]
    assert target_names(("10",), targets) == ["pid 10"]
    assert target_names((), ()) == []
