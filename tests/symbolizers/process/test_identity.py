"""Identity: which process a pid meant, through exits, reuse, odd names and exec."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from symbolizers.errors import ProcessGone
from symbolizers.process.identity import ProcessId, open_process, pids_with_program, start_ticks_of
from tests.support.process.targets import running, running_as


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_our_own_start_time() -> None:
    ticks = start_ticks_of(os.getpid())
    per_second = os.sysconf("SC_CLK_TCK")
    assert 0 < ticks <= time.clock_gettime(time.CLOCK_BOOTTIME) * per_second
    with open_process(os.getpid(), ticks) as handle:
        assert handle.id == ProcessId(os.getpid(), ticks)
        assert handle.alive()


def test_kernel_nanoseconds_are_rounded_down_to_ticks() -> None:
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert ProcessId.from_start_ns(7, 5 * tick_ns) == ProcessId(7, 5)
    assert ProcessId.from_start_ns(7, 6 * tick_ns - 1) == ProcessId(7, 5)


@pytest.mark.parametrize("name", [b") R 1 1 1", b"a b c", b"((", b"\xff)\n)"])
def test_name_that_looks_like_fields(name: bytes) -> None:
    with running("named", name.hex()) as target:
        expected = start_ticks_of(target.pid)
        target.ask("rename")
        assert Path(f"/proc/{target.pid}/comm").read_bytes() == name + b"\n"
        assert start_ticks_of(target.pid) == expected
        with open_process(target.pid) as handle:
            assert handle.id.start_ticks == expected


def test_other_start_time_is_another_process() -> None:
    before = open_descriptors()
    with pytest.raises(ProcessGone):
        open_process(os.getpid(), start_ticks_of(os.getpid()) + 1)
    assert open_descriptors() == before


@pytest.mark.root
def test_handle_outlives_its_process_and_its_pid() -> None:
    with running("userfault") as target:
        handle = open_process(target.pid)
        assert handle.alive()
        os.kill(target.pid, signal.SIGKILL)
        os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOWAIT)
        assert not handle.alive()
        before = open_descriptors()
        with pytest.raises(ProcessGone):
            open_process(target.pid)
        assert open_descriptors() == before
    with pytest.raises(ProcessGone):
        open_process(target.pid)
    with running_as(target.pid, "userfault", "-"), open_process(target.pid) as successor:
        assert successor.alive()
        assert not handle.alive()
        assert successor.id != handle.id
        with pytest.raises(ProcessGone):
            open_process(target.pid, handle.id.start_ticks)
    handle.close()


def test_leader_exited_is_alive_until_its_last_thread_ends() -> None:
    with running("headless") as target:
        handle = open_process(target.pid, start_ticks_of(target.pid))
        assert handle.alive()
        assert target.ask("ping") == 0
    assert not handle.alive()
    handle.close()


def test_exec_keeps_the_identity(pages_file: Path) -> None:
    with running("changing", pages_file) as target, open_process(target.pid) as handle:
        target.tell("exec")
        target.hear_facts()
        assert handle.alive()
        with open_process(target.pid, handle.id.start_ticks) as again:
            assert again.id == handle.id


@pytest.mark.parametrize("pid", [0, -1, 1 << 22, 1 << 40])
def test_number_that_is_no_pid(pid: int) -> None:
    with pytest.raises(ProcessGone):
        open_process(pid)


def test_zombies_run_no_program() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        pids = pids_with_program()
    assert os.getpid() in pids
    assert process.pid not in pids


@pytest.mark.root
def test_kernel_threads_run_no_program() -> None:
    threads = {thread.pid for thread in psutil.Process(2).children()}
    assert len(threads) > 10
    assert not threads.intersection(pids_with_program())


def test_thread_is_no_process() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        with pytest.raises(ProcessGone):
            open_process(thread.native_id)
    finally:
        release.set()
        thread.join()


def test_closed_handle_knows_nothing_of_its_old_descriptor() -> None:
    handle = open_process(os.getpid())
    handle.close()
    handle.close()
    other = os.pidfd_open(os.getppid())
    assert not handle.alive()
    os.close(other)
