"""What a process is, read from real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from symbolizers.errors import FaultReason, ReadFault
from symbolizers.process.description import Description, container_with_id, describe
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from tests.support.process.cgroups import cgroup, remove

ID = "3f2a91c0d5e1" + "ab" * 26
PYTHON = str(Path(sys.executable).resolve())


@contextmanager
def running(*arguments: bytes | str, executable: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has begun, and runs until the end."""
    process = subprocess.Popen(
        arguments, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(1)
        yield process
    finally:
        process.kill()
        process.communicate()


def description_of(pid: int, in_cgroup: int = 0) -> Description:
    with open_process(pid) as handle:
        return describe(handle, NowaitReader(handle), in_cgroup)


def cat(*arguments: bytes) -> Sequence[bytes | str]:
    """The arguments of a shell that says that it runs, and then waits."""
    return ("sh", "-c", "echo; read x", *arguments)


def test_a_program_and_its_arguments() -> None:
    with running(*cat(b"", b"a b", b"\xff;\n", b""), executable="/bin/sh") as process:
        found = description_of(process.pid)
    assert found.executable == str(Path("/bin/sh").resolve())
    assert found.command == ("sh", "-c", "echo; read x", "", "a b", "\udcff;\n")
    assert found.container == ""


def test_of_a_long_command_line_four_kilobytes_are_read() -> None:
    with running(*cat(b"x" * 10_000, b"y"), executable="/bin/sh") as process:
        found = description_of(process.pid)
    assert found.command[:3] == ("sh", "-c", "echo; read x")
    assert sum(len(each) + 1 for each in found.command) == 4096 + 1
    assert set(found.command[3]) == {"x"}


@pytest.mark.parametrize("length", [10, 200, 5000])
def test_a_title_that_a_program_wrote_over_its_arguments(length: int) -> None:
    program = (
        "import ctypes, os, sys\n"
        "stat = open('/proc/self/stat').read().rpartition(')')[2].split()\n"
        "start, end = int(stat[45]), int(stat[48])\n"
        f"title = (b'worker: ' + b'n' * {length})[:end - start - 1]\n"
        "ctypes.memset(start, 0, end - start)\n"
        "ctypes.memmove(start, title, len(title))\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    environment = {**os.environ, "MUCH": "m" * 6000}
    process = subprocess.Popen(
        [PYTHON, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        process.stdout.read(1)
        (title,) = description_of(process.pid).command
        told = Path(f"/proc/{process.pid}/cmdline").read_bytes().partition(b"\0")[0]
    finally:
        process.kill()
        process.communicate()
    assert title == f"worker: {'n' * length}"[:4096]
    assert told.decode().startswith(title[:4000])


def test_a_program_that_was_deleted_keeps_its_name(tmp_path: Path) -> None:
    copy = tmp_path / "shell"
    copy.write_bytes(Path("/bin/sh").read_bytes())
    copy.chmod(0o700)
    with running(*cat(), executable=str(copy)) as process:
        copy.unlink()
        assert description_of(process.pid).executable == str(copy)


def test_arguments_that_are_not_in_memory_are_not_waited_for() -> None:
    class Absent:
        def read(self, address: int, size: int) -> bytes:
            raise ReadFault(address, FaultReason.WOULD_FAULT)

    with open_process(os.getpid()) as handle:
        found = describe(handle, cast("NowaitReader", Absent()), 0)
    assert found == Description(PYTHON, (), found.container)


@pytest.mark.root
def test_a_thread_of_the_kernel_has_neither_program_nor_arguments() -> None:
    kernel = next(
        int(each)
        for each in os.listdir("/proc")
        if each.isdigit() and " 2 " in Path(f"/proc/{each}/stat").read_text().rpartition(")")[2][:5]
    )
    assert description_of(kernel) == Description()


@pytest.mark.root
def test_a_container_is_known_while_its_processes_run_and_after() -> None:
    with cgroup(f"docker-{ID}.scope") as folder, running(*cat(), executable="/bin/sh") as process:
        number = folder.stat().st_ino
        (folder / "cgroup.procs").write_text(str(process.pid))
        assert description_of(process.pid).container == "3f2a91c0d5e1"
        with open_process(process.pid) as handle:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            found = describe(handle, NowaitReader(handle), number)
        assert found == Description(container="3f2a91c0d5e1")
        assert container_with_id(number) == "3f2a91c0d5e1"
    assert container_with_id(number) == ""
    assert container_with_id(0) == container_with_id(1) == container_with_id((1 << 64) - 1) == ""


@pytest.mark.root
def test_a_cgroup_is_called_what_its_maker_likes() -> None:
    name = b"machine-\xff\x1b;x.scope"
    with cgroup(os.fsdecode(name)) as folder, running(*cat(), executable="/bin/sh") as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        assert description_of(process.pid).container == "\udcff\x1b;x"
        assert container_with_id(folder.stat().st_ino) == "\udcff\x1b;x"


@pytest.mark.root
def test_a_cgroup_that_is_gone_is_not_another_one() -> None:
    with cgroup(f"docker-{ID}.scope") as folder:
        before = folder.stat().st_ino
        remove(folder)
        folder.mkdir()
        assert container_with_id(before) == ""
