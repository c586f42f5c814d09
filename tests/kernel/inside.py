"""What only a kernel with PROCESS_VM_PIDFD and PROCESS_VM_NOWAIT can show; inside.sh runs it there.

First the tests show that it is such a kernel, and that its NOWAIT gives up where the interface says so and
waits where our reader must not: else the contract tests would prove nothing. Then they record the system.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from symbolizers.process.memory import ReadStrategy, available_strategies
from symbolizers.process.syscalls import PROCESS_VM_NOWAIT, PROCESS_VM_PIDFD
from tests.support.live.harness import record, target, workload
from tests.support.process.fuse_program import READ_AHEAD_PAGES
from tests.support.process.readers import UngatedReads, raw_read
from tests.support.process.targets import PAGE, in_time, running, running_fuse, state_of

RECORD_S = "10"
BOTH = PROCESS_VM_PIDFD | PROCESS_VM_NOWAIT
WAIT_S = 2.0
TRACING = Path("/sys/kernel/tracing")


def test_both_strategies_are_offered() -> None:
    assert available_strategies() == (ReadStrategy.KERNEL, ReadStrategy.RESIDENT)


def test_unknown_flag_is_refused() -> None:
    assert raw_read(os.getpid(), [(8, 1)], 4) == (-1, errno.EINVAL)


@pytest.mark.parametrize("flags", [PROCESS_VM_PIDFD, BOTH])
def test_bad_pidfd_is_an_error_and_no_crash(flags: int) -> None:
    with open(os.devnull, "rb") as file:
        assert raw_read(file.fileno(), [(PAGE, 8)], flags) == (-1, errno.EBADF)
    assert raw_read(-1, [(PAGE, 8)], flags) == (-1, errno.EBADF)
    with running("heap", 1) as held:
        pidfd = os.pidfd_open(held.pid)
        assert raw_read(pidfd, [(held["resident"], 8)], flags) == (8, 0)
    assert raw_read(pidfd, [(PAGE, 8)], flags) == (-1, errno.ESRCH)
    os.close(pidfd)


def test_nowait_gives_up_on_a_page_that_does_not_come() -> None:
    """It has three answers: nothing, the bytes before the page in one range, the ranges before it."""
    with running("userfault") as held:
        pidfd, stuck = os.pidfd_open(held.pid), held["region"] + PAGE
        assert in_time(lambda: raw_read(pidfd, [(stuck, 8)], BOTH)) == (-1, errno.EFAULT)
        assert in_time(lambda: raw_read(pidfd, [(stuck - 5, 8)], BOTH)) == (5, 0)
        assert in_time(lambda: raw_read(pidfd, [(stuck - 8, 3), (stuck, 8)], BOTH)) == (3, 0)
        os.close(pidfd)


@pytest.mark.parametrize(
    ("variant", "region", "reads"),
    [
        ("sync_reads", "plain", 1),
        ("async_reads", "random", 1),
        ("no_readahead", "plain", 1),
        ("async_reads", "plain", 200),
    ],
)
def test_nowait_alone_waits(tmp_path: Path, variant: str, region: str, reads: int) -> None:
    """The contract's stuck files do hang a reader that trusts NOWAIT and has no gate."""
    with running_fuse(tmp_path, variant) as held:
        addresses = [held[region] + number * READ_AHEAD_PAGES * PAGE for number in range(reads)]
        ungated = UngatedReads(held.pid, addresses, PROCESS_VM_NOWAIT)
        assert not ungated.ended_within(WAIT_S)
        assert state_of(ungated.pid) in "DS"
    assert ungated.ended_within(10)
    ungated.reap()


@contextmanager
def traced(event: str) -> Iterator[Path]:
    """Lets the kernel write down each `event` of the whole system, as lines of the file that this yields."""
    instance = TRACING / "instances" / "pidflame-test"
    instance.mkdir()
    try:
        switch = instance / "events" / event / "enable"
        switch.write_text("1")
        yield instance / "trace"
        switch.write_text("0")
    finally:
        instance.rmdir()


LANGUAGES = {"python3": "split.py", "ruby": "split.rb"}


def test_recording_reads_by_pidfd_and_nowait(tmp_path: Path) -> None:
    with ExitStack() as opened:
        for program in LANGUAGES.values():
            split = workload(program, "--cpu-seconds", "600", "--depth", "5")
            opened.enter_context(target(*split)).go()
        trace = opened.enter_context(traced("syscalls/sys_enter_process_vm_readv"))
        # Line tables are what only the reader reads: the kernel takes the names.
        recorded = record(tmp_path, "-d", RECORD_S, "--lines")
        calls = re.findall(r"process_vm_readv\(.*lvec: (\w+),.*flags: (\w+)\)", trace.read_text())
    assert recorded.exit_code == 0, recorded.said
    recorded.accounted()
    for root in LANGUAGES:
        for function in ("heavy_share", "medium_share"):
            assert recorded.within(function, root=root) > 0, recorded.said
    # This leaves out the probes, which pass no buffer.
    assert {int(flags, 16) for buffer, flags in calls if int(buffer, 16)} == {BOTH}, calls[:20]
