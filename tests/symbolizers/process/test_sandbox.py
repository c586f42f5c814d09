"""The worker's sandbox, entered by a process that then tries what a worker must not be able to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from symbolizers.process.sandbox import MESSAGES_BYTES
from tests.support.process.sandboxed import TRIES
from tests.support.process.targets import ROOT

HARMLESS = {"read", "find", "find_cgroup", "say"}
LIMITED = {"much_memory": "MemoryError", "much_to_say": "OSError", "write_how": "OSError"}
FORBIDDEN = TRIES.keys() - HARMLESS - LIMITED.keys()
NOT_OUTSIDE = {"ptrace", "mount"}
"""They would stop the tests, and change the machine."""


def attempt(what: str, folder: Path, *options: str) -> str:
    """What the program said on stdout; what it said on stderr is in the file `said`."""
    (folder / "file").write_text("content")
    command = [sys.executable, "-m", "tests.support.process.sandboxed", what, str(folder), *options]
    with open(folder / "said", "w") as said:
        return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said).stdout.decode()


@pytest.mark.root
@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_what_a_worker_never_does_is_refused(what: str, tmp_path: Path) -> None:
    assert attempt(what, tmp_path) == "refused PermissionError\n"
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.root
@pytest.mark.parametrize("what", sorted(FORBIDDEN - NOT_OUTSIDE))
def test_outside_it_would_not_be(what: str, tmp_path: Path) -> None:
    assert attempt(what, tmp_path, "--outside") != "refused PermissionError\n"


@pytest.mark.root
@pytest.mark.parametrize("what", sorted(HARMLESS))
def test_what_a_worker_does_goes_on(what: str, tmp_path: Path) -> None:
    assert attempt(what, tmp_path).startswith("done")
    assert ("sandboxed.py" in (tmp_path / "said").read_text()) == (what == "say")


@pytest.mark.root
@pytest.mark.parametrize("what", sorted(LIMITED))
def test_a_worker_takes_so_much_and_no_more(what: str, tmp_path: Path) -> None:
    assert attempt(what, tmp_path) == f"refused {LIMITED[what]}\n"
    assert (tmp_path / "said").stat().st_size <= MESSAGES_BYTES
