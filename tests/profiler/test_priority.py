"""The session of a worker goes first among sessions; the one that we are in stays as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.live.harness import Recording
from tests.support.process.targets import children_of

pytestmark = [pytest.mark.root, pytest.mark.live]


def priority_of(pid: int) -> int:
    """That of its session: what `/proc/PID/autogroup` says last."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


def test_the_session_of_a_worker_goes_first_and_ours_stays(tmp_path: Path) -> None:
    before = priority_of(os.getpid())
    recording = Recording(tmp_path, [])
    pid = recording.process.pid
    (worker,) = children_of(pid)
    during = priority_of(pid), priority_of(worker)
    recording.finish()
    assert during == (before, -20)
