"""The targets that get stuck do so: without the gate a plain read of them waits, and their end frees it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.process.readers import UngatedReads
from tests.support.process.targets import PAGE, Target, running, running_fuse, state_of

WAIT_S = 0.3


def stuck(kind: str, directory: Path) -> tuple[AbstractContextManager[Target], str, int]:
    """The target's context, and where its stuck page is."""
    if kind == "userfault":
        return running("userfault"), "region", PAGE
    return running_fuse(directory, "async_reads"), "plain", 0


@pytest.mark.root
@pytest.mark.parametrize("kind", ["userfault", "fuse"])
def test_plain_read_waits_until_the_target_ends(kind: str, tmp_path: Path) -> None:
    context, region, offset = stuck(kind, tmp_path)
    with context as target:
        reads = UngatedReads(target.pid, [target[region] + offset], 0)
        assert not reads.ended_within(WAIT_S)
        assert state_of(reads.pid) == "D"
    assert reads.ended_within(10)
    reads.reap()
