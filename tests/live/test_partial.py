"""Code that lives for milliseconds: its name is taken, or else the rest of the stack stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.live.harness import PIDFLAME, SYSTEM_PYTHON, record

HZ = 200
SHORT_LIVED = r"""
import time

def burn():
    return sum(range(100_000))

def caller(text):
    namespace = {"burn": burn}
    exec(text, namespace)
    namespace["NAME"]()

end = time.monotonic() + 3
number = 0
while time.monotonic() < end:
    number += 1
    caller(f"def NAME():\n    number = {number}\n    return burn()")
"""
"""Code that lives for some milliseconds, and calls a known function: the session does not hurry for it."""
TAKEN, LEFT = "short_lived", "short_lived_ж"
"""Names that the kernel takes, and that it leaves to the reader: their characters are too wide."""

SOME_GONE = 0.005
"""At least this share of such names is gone before it is read (3 % are usual)."""


def program(tmp_path: Path, name: str) -> list[str]:
    """The command that runs code of this name."""
    path = tmp_path / "short_lived.py"
    path.write_text(SHORT_LIVED.replace("NAME", name))
    return [SYSTEM_PYTHON, str(path)]


@pytest.mark.parametrize("options", [(), ("--lines",)])
def test_code_keeps_the_name_that_it_had_at_the_interrupt(tmp_path: Path, options: tuple[str, ...]) -> None:
    recorded = record(tmp_path, "-F", str(HZ), *options, command=program(tmp_path, TAKEN))
    recorded.accounted()
    assert recorded.stats["samples"] > 2.5 * HZ
    lost = Counter(recorded.stats["partial"]) + Counter(recorded.stats["dropped"])
    # Its process may be sampled before it was looked into, or while its memory is given back at the end.
    assert lost.keys() <= {"not_inspected", "would_fault"}, recorded.stats
    assert lost.total() <= 2, recorded.stats
    assert recorded.within(TAKEN) > 0.9 * recorded.stats["samples"]
    assert ("functions show no line" in str(recorded.stats["notes"])) == ("--lines" in options)


@pytest.mark.parametrize("option", [None, "--drop-partial", "--keep-partial"])
def test_the_rest_of_a_stack_stays_when_a_name_is_gone(tmp_path: Path, option: str | None) -> None:
    options = [option] if option else []
    recorded = record(tmp_path, "-F", str(HZ), *options, command=program(tmp_path, LEFT))
    recorded.accounted()
    partial, dropped = recorded.stats["partial"]["changed"], recorded.stats["dropped"]["changed"]
    marked = recorded.where(lambda stack: "[changed]" in stack)
    if option == "--drop-partial":
        assert (partial, marked) == (0, 0)
        assert dropped > SOME_GONE * recorded.stats["samples"]
    else:
        assert marked == partial > SOME_GONE * recorded.stats["samples"]
        assert recorded.where(lambda stack: "[changed]" in stack and is_between(stack)) > 0.9 * marked
        assert dropped == 0
        assert any(
            row["hit"][0].startswith("caller (") for row in recorded.stats["per_process"] if row["hit"]
        )
        assert recorded.within("caller") > 0.9 * recorded.stats["samples"]


def is_between(stack: Sequence[str]) -> bool:
    """Whether what is gone stands between the functions that stay."""
    at = stack.index("[changed]")
    return stack[at - 1].startswith("caller (") and stack[at + 1].startswith("burn (")


@contextmanager
def preforked() -> Iterator[tuple[int, set[int]]]:
    """The pid of a master that sleeps, and those of its two children that burn."""
    source = "import os, time\n[os.fork() or exec('while True: pass') for _ in 'ab']\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", source]) as master:
        try:
            process = psutil.Process(master.pid)
            while len(process.children()) < 2:
                time.sleep(0.01)
            yield master.pid, {child.pid for child in process.children()}
        finally:
            for child in psutil.Process(master.pid).children():
                child.kill()
            master.kill()


def test_children_that_run_already_are_recorded_with_their_parent(tmp_path: Path) -> None:
    with preforked() as (master, children):
        recorded = record(tmp_path, "-F", str(HZ), "-d", "2", "-p", str(master), "--children")
    assert {row["pid"] for row in recorded.stats["per_process"]} == children
    assert recorded.stats["samples"] > 1.5 * HZ


def test_a_recording_without_a_sample_says_so_and_fails(tmp_path: Path) -> None:
    with preforked() as (master, _):
        command = [PIDFLAME, "record", "-d", "1", "-o", str(tmp_path / "out.folded"), "-p", str(master)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "warning: no sample was taken: " in done.stderr
    assert done.stderr.strip().endswith("0 samples: 0 symbolized, 0 dropped, 0 lost")
