"""The reader's contract while its process ends, changes its program, or loses its pid to another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from symbolizers.errors import FaultReason
from symbolizers.process.memory import NowaitReader, ReadStrategy
from tests.support.process.readers import fault_of, faults, open_reader
from tests.support.process.targets import (
    FIXED,
    PAGE,
    in_time,
    running,
    running_as,
    running_vforked,
    state_of,
)

pytestmark = pytest.mark.root

EXITED = FaultReason.EXITED


def assert_exited(reader: NowaitReader) -> None:
    """Every read says so, whether its pages were known to be resident or not, or never existed."""
    for _ in range(2):
        assert fault_of(lambda: in_time(lambda: reader.read(FIXED, 2))).fault is EXITED
        found = in_time(lambda: reader.read_many([(FIXED, 2), (FIXED + PAGE, 2), (8, 1)]))
        assert faults(found) == [(FIXED, EXITED), (FIXED + PAGE, EXITED), (8, EXITED)]
        reader.forget()


def test_zombie_and_reaped(pages_file: Path, strategy: ReadStrategy) -> None:
    with running("memory", pages_file) as target:
        reader = open_reader(target.pid, strategy)
        assert reader.read(FIXED, 2) == b"\1\1"
        os.kill(target.pid, signal.SIGKILL)
        os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOWAIT)
        assert state_of(target.pid) == "Z"
        assert_exited(reader)
    assert state_of(target.pid) == "?"
    assert_exited(reader)


def test_pid_used_again(pages_file: Path, strategy: ReadStrategy) -> None:
    with running("memory", pages_file) as target:
        reader = open_reader(target.pid, strategy)
        fresh = open_reader(target.pid, strategy)
        assert reader.read(FIXED, 2) == b"\1\1"
    with running_as(target.pid, "memory", pages_file):
        # The new process has the very same bytes at the same place.
        assert open_reader(target.pid, strategy).read(FIXED, 2) == b"\1\1"
        assert_exited(reader)
        assert_exited(fresh)


def test_leader_exited_with_a_thread_alive(strategy: ReadStrategy) -> None:
    with running("headless") as target:
        reader = open_reader(target.pid, strategy)
        assert_exited(reader)
        assert target.ask("ping") == 0


def test_exec_in_between(pages_file: Path, strategy: ReadStrategy) -> None:
    with running("changing", pages_file) as target:
        reader = open_reader(target.pid, strategy)
        old = target["old"]
        assert reader.read(old, 2) == b"\1\1"
        target.tell("exec")
        target.hear_facts()
        assert fault_of(lambda: in_time(lambda: reader.read(old, 2))).address == old
        assert in_time(lambda: reader.read(FIXED, 2)) == b"\1\1"
        reader.forget()
        assert in_time(lambda: reader.read(FIXED, 2)) == b"\1\1"
        assert fault_of(lambda: in_time(lambda: reader.read(old, 2))).fault is FaultReason.WOULD_FAULT


def test_exec_of_a_child_of_vfork(pages_file: Path, tmp_path: Path, strategy: ReadStrategy) -> None:
    with running_vforked(tmp_path, "memory", pages_file) as target:
        reader = open_reader(target.pid, strategy)
        old = target["old"]
        assert in_time(lambda: reader.read(old, 2)) == b"\1\1"
        assert reader.read(old, 2) == b"\1\1"
        target.tell("exec")
        target.hear_facts()
        # The parent's memory lives on: whatever is still known of it must not pass for the child's.
        assert fault_of(lambda: in_time(lambda: reader.read(old, 2))).address == old
        reader.forget()
        assert in_time(lambda: reader.read(FIXED, 2)) == b"\1\1"
        assert fault_of(lambda: in_time(lambda: reader.read(old, 2))).fault is FaultReason.WOULD_FAULT
        assert target.ask("ping") == 0


def test_stopped_target_is_read_and_stays_stopped(pages_file: Path, strategy: ReadStrategy) -> None:
    with running("memory", pages_file) as target:
        os.kill(target.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, target.pid, os.WSTOPPED | os.WNOWAIT)
        reader = open_reader(target.pid, strategy)
        assert in_time(lambda: reader.read(FIXED, 2)) == b"\1\1"
        assert state_of(target.pid) == "T"
        os.kill(target.pid, signal.SIGCONT)
        assert target.ask("ping") == 0


def test_target_in_another_pid_namespace(pages_file: Path, strategy: ReadStrategy) -> None:
    wrapper = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
    with running("memory", pages_file, wrapper=wrapper) as target:
        assert f"NSpid:\t{target.pid}\t1\n" in Path(f"/proc/{target.pid}/status").read_text()
        reader = open_reader(target.pid, strategy)
        assert in_time(lambda: reader.read(FIXED + PAGE, 2)) == b"\2\2"
        fault = fault_of(lambda: in_time(lambda: reader.read(target["untouched"], 2)))
        assert (fault.address, fault.fault) == (target["untouched"], FaultReason.WOULD_FAULT)
        assert target.ask("ping") == 0
    assert fault_of(lambda: in_time(lambda: reader.read(FIXED, 2))).fault is EXITED
