"""The worker's sandbox: it parses what targets wrote, so it keeps no right that this does not take.

It reads memory and files of everybody, and that stays. It can't write, run, signal or connect to anything:

    network       its network namespace is empty
    limits        memory is bounded; no file grows (but for its own messages), no core, no new process
    oom_score     the kernel ends it first when memory is short
    capabilities  those for reading are left, in no set that an exec passes on, and no_new_privs is set
    seccomp       an allow list of system calls; files open for reading only, and no memory becomes code

The kernel may refuse a part (in a container, to a user who is not root). The worker then goes on without it,
and `Sandbox.parts` says so: it looks at what is in force, whatever was tried.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import CDLL
from pathlib import Path
from typing import NamedTuple

from symbolizers.process import capabilities, seccomp
from symbolizers.process.open_how import ADDRESS, END, find_in_root_how
from symbolizers.process.seccomp import allow, at_least, no_bits, one_of, pointer
from symbolizers.process.syscalls import FS_IOC_GETVERSION, SYS_OPEN_BY_HANDLE_AT, SYS_OPENAT2, check

MEMORY_BYTES = 512 << 20
"""Address space: 23 MB to start with, 67 MB with the symbols of node, LLVM and GCC. One read of a string
table may take 128 MB (`symbolizers/elf/source.py`). What needs more fails, and only that question is lost."""
MESSAGES_BYTES = 1 << 16
"""What all workers of a recording together may say on stderr, which is a file in memory."""
OOM_SCORE = 1000

_CLONE_NEWNET = 0x40000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAP_FIXED = 0x10
_MREMAP_FIXED = ~1 & 0xFFFFFFFF
"""All flags of mremap(2) but MREMAP_MAYMOVE."""
_LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_FSIZE: MESSAGES_BYTES,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NPROC: 0,
}
_OWN = Path("/proc/self")
_ADDRESSES = ("net/fib_trie", "net/if_inet6")
"""Local addresses of IPv4 and IPv6; a kernel without one of these has no such file."""

_CALLS = (
    *(allow(310), allow(17), allow(7)),  # process_vm_readv, pread64, poll
    *(allow(3), allow(0), allow(262), allow(5), allow(332)),  # close, read, newfstatat, fstat, statx
    allow(257, no_bits(2, _WRITING)),  # openat
    allow(SYS_OPENAT2, pointer(2, ADDRESS)),
    allow(SYS_OPEN_BY_HANDLE_AT, one_of(2, os.O_PATH | os.O_CLOEXEC)),
    *(allow(434), allow(327), allow(8), allow(217)),  # pidfd_open, preadv2, lseek, getdents64
    *(allow(267), allow(89), allow(79)),  # readlinkat, readlink, getcwd
    *(allow(44), allow(45), allow(1)),  # sendto, recvfrom, write
    allow(72, one_of(1, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL)),  # fcntl
    allow(16, one_of(1, FS_IOC_GETVERSION)),  # ioctl
    allow(9, no_bits(2, mmap.PROT_EXEC), no_bits(3, _MAP_FIXED)),  # mmap
    allow(11, at_least(0, END)),  # munmap
    allow(25, at_least(0, END), no_bits(3, _MREMAP_FIXED)),  # mremap
    *(allow(12), allow(39), allow(186), allow(63)),  # brk, getpid, gettid, uname
    allow(302, pointer(2, 0)),  # prlimit64, to read limits
    *(allow(228), allow(318), allow(202), allow(24)),  # clock_gettime, getrandom, futex, sched_yield
    *(allow(13), allow(14), allow(15), allow(131)),  # rt_sigaction, rt_sigprocmask, rt_sigreturn, sigaltstack
    *(allow(38), allow(219), allow(60), allow(231)),  # setitimer, restart_syscall, exit, exit_group
)
"""Found with strace, by the numbers of asm/unistd_64.h; some are what another glibc calls for the same. The
live tests pass under this list."""


class Part(NamedTuple):
    """A part of the sandbox; `problem` says why it does not hold, and is empty where it does."""

    name: str
    problem: str


class Sandbox:
    """What a process gave up. Lifetime: the process; nothing comes back."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}

    def enter_to_fork(self) -> None:
        """Gives up what a process does not need that forks workers; they begin without it."""
        self._enter(_NOT_FOR_FORKING)

    def enter(self) -> None:
        """Gives up what can be given up. To be called when all modules are imported, by the only thread."""
        self._enter(tuple(_PARTS))

    def _enter(self, names: Sequence[str]) -> None:
        for name in names:
            give_up, _ = _PARTS[name]
            try:
                give_up()
            except OSError as error:
                self._refused[name] = error.strerror or str(error)

    def parts(self) -> tuple[Part, ...]:
        """Every part, and whether it is in force now."""
        return tuple(
            Part(name, "" if holds() else self._refused.get(name, "it is not in force"))
            for name, (_, holds) in _PARTS.items()
        )


def enter_empty_network() -> None:
    """Moves this thread into a new network namespace, in which only a dead loopback is.

    Raises PermissionError without CAP_SYS_ADMIN.
    """
    check(CDLL(None, use_errno=True).unshare(_CLONE_NEWNET))


def _has_no_network() -> bool:
    """Whether no interface of our namespace has an address, not even the loopback."""
    return not any(path.exists() and path.read_text() for path in (_OWN / name for name in _ADDRESSES))


def _leave_network() -> None:
    if not _has_no_network():
        enter_empty_network()


def _limit() -> None:
    for limit, most in _LIMITS.items():
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))


def _is_limited() -> bool:
    return all(0 <= resource.getrlimit(limit)[1] <= most for limit, most in _LIMITS.items())


def _go_first() -> None:
    (_OWN / "oom_score_adj").write_text(str(OOM_SCORE))


def _goes_first() -> bool:
    return (_OWN / "oom_score_adj").read_text().strip() == str(OOM_SCORE)


def _keep_reading_only() -> None:
    capabilities.leave_no_core()
    capabilities.gain_nothing_by_exec()
    kept = capabilities.reading_capabilities()
    with suppress(PermissionError):  # a user who is not root: no_new_privs alone has to do
        capabilities.empty_bounding_set()
    capabilities.keep_only(kept)


def _keeps_reading_only() -> bool:
    status = _status()
    kept = capabilities.bits_of(capabilities.reading_capabilities())
    held = int(status["CapPrm"], 16) | int(status["CapEff"], 16)
    passed_on = int(status["CapInh"], 16) | int(status["CapAmb"], 16)
    return not held & ~kept and not passed_on and status["NoNewPrivs"] == "1"


def _filter() -> None:
    find_in_root_how()
    seccomp.install(seccomp.only(_CALLS))


def _is_filtered() -> bool:
    return _status()["Seccomp"] == "2"


def _status() -> dict[str, str]:
    lines = (_OWN / "status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


_PARTS: dict[str, tuple[Callable[[], None], Callable[[], bool]]] = {
    "network": (_leave_network, _has_no_network),
    "limits": (_limit, _is_limited),
    "oom_score": (_go_first, _goes_first),
    "capabilities": (_keep_reading_only, _keeps_reading_only),
    "seccomp": (_filter, _is_filtered),
}
"""How to enter each part, and whether it holds. The order matters: later parts take the rights of earlier."""
_NOT_FOR_FORKING = ("network", "oom_score", "capabilities")
