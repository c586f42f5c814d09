"""Who a process is: (pid, start time), held by a pidfd, so that a pid used again is never taken for it.

Two cases look odd but are intended:

- A *zombie* (exited, not reaped) counts as exited: it has no memory, and its pidfd reads as ended.
- A process whose *group leader has exited while other threads run* is alive and can be opened, since its
  threads can still be sampled; but the kernel finds a process's memory through its leader, so every read
  of its memory, pagemap or maps is answered with "exited" until the last thread is gone too.

exec keeps the identity: pid, start time and pidfd stay (also when another thread than the leader calls
it), only the address space is another.
"""

from __future__ import annotations

import errno
import os
import select
from types import TracebackType

from msgspec import Struct

from symbolizers.errors import ProcessGone

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_NS_PER_TICK = 1_000_000_000 // _TICKS_PER_SECOND
_PID_LIMIT = 1 << 22
"""PID_MAX_LIMIT of the kernel; a larger number is not a pid."""
_START_TIME_AFTER_COMM = 19
"""proc(5): field 22 is the start time; state, field 3, is the first after the command name."""


class ProcessId(Struct, frozen=True):
    """One process of this boot: its pid and when it started, in clock ticks (as /proc/PID/stat has it)."""

    pid: int
    start_ticks: int

    @classmethod
    def from_start_ns(cls, pid: int, start_ns: int) -> ProcessId:
        """From the kernel's ``task->start_boottime``, which /proc/PID/stat rounds down to ticks."""
        return cls(pid, start_ns // _NS_PER_TICK)

    def start_ns(self) -> int:
        """The start of its clock tick, in nanoseconds since boot."""
        return self.start_ticks * _NS_PER_TICK


def start_ticks_of(pid: int) -> int:
    """When the process that has `pid` now started (clock ticks since boot). Raises `ProcessGone`.

    Reading this file takes no lock that a target can hold for long (not its mmap lock).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            text = stat.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(f"no process {pid}") from None
    return start_ticks_in(text)


def start_ticks_in(stat: bytes) -> int:
    """The start time in the text of /proc/PID/stat (clock ticks since boot)."""
    # The command name may hold spaces and brackets; nothing behind it does.
    return int(stat.rpartition(b")")[2].split()[_START_TIME_AFTER_COMM])


def pid_inside(handle: ProcessHandle) -> int:
    """The pid by which the process knows itself, in the innermost namespace. Raises `ProcessGone`."""
    return _in_status(handle, b"NSpid:", handle.id.pid)


def parent_of(handle: ProcessHandle) -> int:
    """The pid of its parent now. Raises `ProcessGone`."""
    return _in_status(handle, b"PPid:", 0)


def _in_status(handle: ProcessHandle, field: bytes, otherwise: int) -> int:
    """The last number of a `field` of /proc/PID/status, `otherwise` without it. Raises `ProcessGone`."""
    pid = handle.id.pid
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            lines = status.read(4096).split(b"\n")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(f"no process {pid}") from None
    if not handle.alive():
        raise ProcessGone(f"process {pid} has exited")
    numbers = next((line.split()[1:] for line in lines if line.startswith(field)), [])
    return int(numbers[-1]) if numbers else otherwise


def user_of(pid: int) -> int:
    """The user (uid) of the process `pid`; root where the kernel shows it to nobody else, or it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return 0


def command_name_of(pid: int) -> str:
    """What the process that has `pid` now calls itself (its comm), undecodable bytes as ``\\xNN``.

    Up to 15 bytes that the process chose, more for a kernel thread. Raises `ProcessGone`. Never waits: the
    name is kept in the kernel, unlike the command line, which is the target's memory.
    """
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as comm:
            return comm.read(256).rstrip(b"\n").decode("utf-8", "backslashreplace")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(f"no process {pid}") from None


def leader_of(pid: int) -> int:
    """The process whose thread `pid` is; `pid` itself for a process. Raises `ProcessGone`."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            lines = status.read(4096).split(b"\n")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone(f"no process {pid}") from None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Tgid:")), pid)


def runs_thread(pid: int, tid: int) -> bool:
    """Whether the process that has `pid` now has a thread `tid` now. Never waits."""
    return os.path.exists(f"/proc/{pid}/task/{tid}")


class ProcessHandle:
    """A process held by its pidfd. Lifetime: until `close`; the process may end before."""

    def __init__(self, identity: ProcessId, pidfd: int) -> None:
        """Takes over `pidfd`, which must belong to `identity`: see `open_process`."""
        self.id = identity
        self.pidfd = pidfd
        """-1 once closed."""
        self._poll = select.poll()
        self._poll.register(pidfd, select.POLLIN)

    def alive(self) -> bool:
        """Whether the process still runs (has any thread that does). Never waits.

        True also means that up to now its pid was never another process's: a pid is free only after the
        process that has it was reaped, and that ends it for its pidfd first.
        """
        return self.pidfd >= 0 and not self._poll.poll(0)

    def close(self) -> None:
        """Let go of the process. Twice is harmless."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def __enter__(self) -> ProcessHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_process(pid: int, start_ticks: int | None = None) -> ProcessHandle:
    """A handle on the process `pid`, and on no other one that had or will have this number.

    With `start_ticks`, only if it is the process that started then. Raises `ProcessGone` when it is not,
    when it has exited (a zombie has), or when `pid` is a thread and not a process; OSError when we have no
    file descriptors left or may not see it (/proc mounted with hidepid).
    """
    if not 0 < pid < _PID_LIMIT:
        raise ProcessGone(f"no process {pid}")
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        # A thread that leads no group: EINVAL, from 6.16 on ENOENT.
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
            raise ProcessGone(f"no process {pid}") from None
        raise
    try:
        found = start_ticks_of(pid)
        handle = ProcessHandle(ProcessId(pid, found), pidfd)
        # Only now is it known whose start time was read: see alive().
        if not handle.alive():
            raise ProcessGone(f"process {pid} has exited")
        if start_ticks is not None and found != start_ticks:
            raise ProcessGone(f"pid {pid} belongs to another process now")
    except (ProcessGone, OSError):
        os.close(pidfd)
        raise
    return handle


def pids_with_program() -> list[int]:
    """Those of all processes that run a program now: kernel threads and zombies do not."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _has_program(name)]


def _has_program(pid: str) -> bool:
    try:
        os.readlink(f"/proc/{pid}/exe")  # it waits for no lock that the process could hold
    except OSError as error:
        return error.errno != errno.ENOENT  # where we may not look, who asks about the process learns why
    return True
