"""The targets that get stuck do so: without the gate a plain read of them waits, and their end frees it."""

from __future__ import annotations

import ctypes
import os
import select
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from symbolizers.process.syscalls import process_vm_readv
from tests.symbolizers.process.targets import PAGE, Target, running, running_fuse, state_of

WAIT_S = 0.3


def plain_read(pid: int, address: int) -> tuple[int, int]:
    """A child process that reads without asking, and a pipe that ends when it has ended."""
    pipe_read, pipe_write = os.pipe()
    child = os.fork()
    if child == 0:
        buffer = ctypes.create_string_buffer(8)
        local = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
        remote = (ctypes.c_uint64 * 2)(address, 8)
        process_vm_readv(pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
        os._exit(0)
    os.close(pipe_write)
    return child, pipe_read


def stuck(kind: str, directory: Path) -> tuple[AbstractContextManager[Target], str, int]:
    """The target's context, and where its stuck page is."""
    if kind == "userfault":
        return running("userfault"), "region", PAGE
    return running_fuse(directory, "async_reads"), "plain", 0


@pytest.mark.parametrize("kind", ["userfault", "fuse"])
def test_plain_read_waits_until_the_target_ends(kind: str, tmp_path: Path) -> None:
    context, region, offset = stuck(kind, tmp_path)
    with context as target:
        child, ended = plain_read(target.pid, target[region] + offset)
        assert select.select([ended], [], [], WAIT_S)[0] == []
        assert state_of(child) == "D"
    assert select.select([ended], [], [], 10)[0] == [ended]
    os.close(ended)
    os.waitpid(child, 0)
