"""Enters the worker's sandbox, then tries what the argument names; says what came of it in one line."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from symbolizers.process.open_how import ADDRESS, find_in_root_how
from symbolizers.process.sandbox import Sandbox
from symbolizers.process.syscalls import open_cgroup
from tests.support.process.cgroups import hierarchy

PAGE = mmap.PAGESIZE
PARENT = os.getppid()
MAP_FIXED, MREMAP_MAYMOVE, MREMAP_FIXED = 0x10, 1, 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(number: int, *arguments: int | bytes | None) -> int:
    """A system call by its x86-64 number, whatever libc thinks of it. Raises OSError."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def opened_for(flags: int) -> Callable[[Path], object]:
    return lambda folder: os.open(folder / "file", flags)


def openat2_of_its_own(folder: Path) -> object:
    how = ctypes.create_string_buffer(struct.pack("=QQQ", os.O_WRONLY, 0, 0))
    return call(437, -100, bytes(folder / "file"), ctypes.addressof(how), 24)


def how_overwritten_by_a_read(folder: Path) -> object:
    """A read into the page: the kernel writes where the process may not."""
    fd = os.open("/proc/self/status", os.O_RDONLY)
    return call(0, fd, ADDRESS, 24)


def handle_to_read(_folder: Path) -> object:
    """The root of the unified hierarchy by its id, as a descriptor that can be read from."""
    handle = struct.pack("=IiQ", 8, 0xFE, 1)
    return call(304, os.open(hierarchy(), os.O_RDONLY), handle, os.O_RDONLY)


def mapped_as_code(_folder: Path) -> object:
    return mmap.mmap(-1, PAGE, prot=mmap.PROT_READ | mmap.PROT_EXEC)


TRIES: dict[str, Callable[[Path], object]] = {
    "open_to_write": opened_for(os.O_WRONLY),
    "open_to_update": opened_for(os.O_RDWR),
    "open_to_truncate": opened_for(os.O_RDONLY | os.O_TRUNC),
    "open_to_create": lambda folder: os.open(folder / "new", os.O_RDONLY | os.O_CREAT),
    "open_unnamed": lambda folder: os.open(folder, os.O_WRONLY | os.O_TMPFILE),
    "open_by_the_old_call": lambda folder: call(2, bytes(folder / "file"), os.O_RDONLY, 0),
    "openat2": openat2_of_its_own,
    "handle_to_read": handle_to_read,
    "unmap_how": lambda _: call(11, ADDRESS, PAGE),
    "unmap_from_below_how": lambda _: call(11, 0, ADDRESS + PAGE),
    "map_over_how": lambda _: call(9, ADDRESS, PAGE, 3, 0x22 | MAP_FIXED, -1, 0),
    "move_how": lambda _: call(25, ADDRESS, PAGE, PAGE, MREMAP_MAYMOVE),
    "move_over_how": lambda _: call(25, 1 << 40, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ADDRESS),
    "make_how_writable": lambda _: call(10, ADDRESS, PAGE, 3),
    "empty_how": lambda _: call(28, ADDRESS, PAGE, 4),
    "write_how": how_overwritten_by_a_read,
    "map_code": mapped_as_code,
    "rename": lambda folder: os.rename(folder / "file", folder / "other"),
    "unlink": lambda folder: os.unlink(folder / "file"),
    "chmod": lambda folder: os.chmod(folder / "file", 0o777),
    "socket": lambda _: socket.socket(),
    "execve": lambda _: os.execv("/bin/true", ["true"]),
    "fork": lambda _: os.fork(),
    "kill": lambda _: os.kill(PARENT, signal.SIGCONT),
    "ptrace": lambda _: call(101, 16, PARENT, None, None),
    "write_memory": lambda _: call(311, PARENT, None, 0, None, 0, 0),
    "take_descriptor": lambda _: call(438, os.pidfd_open(PARENT), 0, 0),
    "signal_by_owner": lambda _: fcntl.fcntl(0, fcntl.F_SETOWN, PARENT),
    "terminal_input": lambda _: fcntl.ioctl(0, 0x5412, b"x"),
    "bpf": lambda _: call(321, 0, None, 0),
    "perf_event_open": lambda _: call(298, None, 0, 0, 0, 0),
    "io_uring": lambda _: call(425, 1, None),
    "mount": lambda _: call(165, b"none", b"/mnt", b"tmpfs", 0, None),
    "unshare": lambda _: call(272, 0x10000000),
    "limits": lambda _: call(302, 0, resource.RLIMIT_CORE, struct.pack("=QQ", 0, 0), None),
    "x32": lambda _: call(1 << 30 | 39),
    "read": lambda folder: (folder / "file").read_text(),
    "find": lambda folder: call(437, os.open("/", os.O_PATH), bytes(folder / "file"), find_in_root_how(), 24),
    "find_cgroup": lambda _: open_cgroup(os.open(hierarchy(), os.O_RDONLY), hierarchy().stat().st_ino),
    "much_memory": lambda _: len(bytearray(2 << 30)),
    "much_to_say": lambda _: [os.write(2, b"x" * 4096) for _ in range(64)],
    "say": lambda _: traceback.print_stack(file=sys.stderr),
}


if __name__ == "__main__":
    tried = TRIES[sys.argv[1]]
    sandbox = Sandbox()
    if "--outside" not in sys.argv:
        sandbox.enter()
    try:
        print("done", tried(Path(sys.argv[2])))
    except (OSError, MemoryError) as error:
        print("refused", type(error).__name__)
