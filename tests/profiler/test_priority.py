"""The sessions of workers go first among sessions, and ours only where nobody else is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live.harness import PIDFLAME, Recording
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


SAY_PRIORITY = "print(open('/proc/self/autogroup').read().split()[-1])"


@pytest.mark.parametrize("options", [["-d", "0.3"], ["--", sys.executable, "-c", SAY_PRIORITY]])
def test_a_session_of_its_own_goes_first_until_samples_are_taken(options: list[str], tmp_path: Path) -> None:
    command = [PIDFLAME, "record", "-o", tmp_path / "out.folded", *options]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    seen = []
    while process.poll() is None:
        seen.append(session_priority_of(process.pid))
    said, _ = process.communicate()
    assert said == ("0\n" if "--" in options else "")
    assert set(seen) == {0, -20}
    assert seen[-1] == 0
