"""Processes of ours have names by which people find them."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from symbolizers.asker import Asker, Workers
from symbolizers.process.own_name import MAIN, WORKER, take_name
from tests.support.process.targets import ROOT

PATIENCE_S = 30.0


def test_a_process_takes_a_name_and_hands_it_on_to_what_it_forks() -> None:
    program = """
import os
from symbolizers.process.own_name import take_name
take_name("one-name")
if os.fork() == 0:
    print(open("/proc/self/comm").read(), end="", flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "one-name\n"


def test_the_names_are_as_long_as_the_kernel_takes() -> None:
    before = Path("/proc/self/comm").read_text()
    try:
        for name in (MAIN, WORKER):
            take_name(name)
            assert Path("/proc/self/comm").read_text() == f"{name}\n"
    finally:
        take_name(before.strip())


def test_workers_and_what_forks_them_are_called_so() -> None:
    before = named(WORKER)  # of other tests
    end_s = time.monotonic() + PATIENCE_S
    with closing(Asker(Workers())) as asker:
        while len(named(WORKER) - before) < 2:
            assert time.monotonic() < end_s
            asker.wait(0.1)
            time.sleep(0.01)


def named(name: str) -> set[str]:
    """Children of ours with this name."""
    tasks = Path("/proc/self/task")
    pids = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    return {pid for pid in pids if _comm(pid) == name}


def _comm(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
