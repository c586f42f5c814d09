"""The session of a recording goes first among sessions, and only while it records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from profiler.priority import raised_session
from tests.support.live.harness import Recording, workload

pytestmark = [pytest.mark.root, pytest.mark.live]


def priority_of(pid: int) -> int:
    """That of its session: what `/proc/PID/autogroup` says last."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


def workers_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_sessions_of_a_recording_and_its_worker_go_first(tmp_path: Path) -> None:
    before = priority_of(os.getpid())
    recording = Recording(tmp_path, [])
    (worker,) = workers_of(recording.process.pid)
    during = priority_of(recording.process.pid), priority_of(worker)
    recording.finish()
    assert during == (-20, -20)
    assert priority_of(os.getpid()) == before == 0


def test_a_session_with_a_recorded_command_stays_as_it_is(tmp_path: Path) -> None:
    recording = Recording(tmp_path, ["-d", "1", "--", *workload("short.py", "--cpu-seconds", "5")])
    during = priority_of(recording.process.pid)
    recording.wait()
    assert during == 0


def test_a_session_that_another_recording_has_raised_is_left_to_it() -> None:
    with raised_session(is_shared=False):
        with raised_session(is_shared=False):
            assert priority_of(os.getpid()) == -20
        assert priority_of(os.getpid()) == -20
    assert priority_of(os.getpid()) == 0
