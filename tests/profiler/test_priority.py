"""The session of a worker goes first among sessions; the one that we are in stays as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.live.harness import Recording
from tests.support.process.session_priority import session_priority_of
from tests.support.process.targets import children_of

pytestmark = [pytest.mark.root, pytest.mark.live]


def test_the_session_of_a_worker_goes_first_and_ours_stays(tmp_path: Path) -> None:
    before = session_priority_of(os.getpid())
    recording = Recording(tmp_path, [])
    pid = recording.process.pid
    forker_and_worker = children_of(pid)
    during = session_priority_of(pid), [session_priority_of(each) for each in forker_and_worker]
    recording.finish()
    assert during == (before, [-20, -20])
