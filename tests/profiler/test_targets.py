"""Which processes -p names: real ones, started for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import pytest

from profiler.commands.targets import Target, find_targets
from profiler.errors import TargetGone

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


def test_zero_is_no_process() -> None:
    with pytest.raises(click.BadParameter):
        find_targets(["0"], children=False)
