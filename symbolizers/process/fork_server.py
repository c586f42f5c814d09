"""Forks workers from a process that has imported all that they need, so that one starts in milliseconds.

    we ── arguments, a socket ──▶ fork server ── fork ──▶ worker

A worker is in the session of the fork server: a priority of that session was set while we had the right to,
and later workers have it, too (sched_autogroup). It is a child of ours all the same, so that its pid means
nothing else before we have waited for it.
"""

from __future__ import annotations

import array
import ctypes
import gc
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from symbolizers.process.autogroup import set_session_priority
from symbolizers.process.syscalls import check
from symbolizers.process.usage import run_time_of

_MOST_REQUEST_BYTES = 4096
_MOST_SAID_BYTES = 1 << 13
"""Of what workers say on their stderr: a traceback, once a run."""
_UNPRINTABLE = re.compile(r"[^\n\x20-\x7e]")
"""What a terminal could take for a command: a target may have a part in what a worker says."""
_SYS_CLONE = {"x86_64": 56}.get(os.uname().machine, 220)
_CLONE_PARENT = 0x8000
"""linux/sched.h: the new process has the parent that we have."""
_REQUESTS_FD = 3
"""In the fork server: the first behind standard input, output and error."""


class ForkServer:
    """Our end. Lifetime: a recording. A fork server that has died is started again when it is needed."""

    def __init__(self, module: str = "symbolizers.worker", *, from_here: bool = False) -> None:
        """`module`: its `main` calls `fork_workers`.

        `from_here`: it is forked from this process, which has one thread and knows nothing yet, so that it
        need not import what that has imported. One that is started again is not.
        """
        self.command = (sys.executable, "-I", "-m", module)
        # It doesn't get our stdout and stderr: a worker that stays in D state would keep a pipe open.
        self._said_fd = os.memfd_create("worker-stderr")
        self._has_passed_on = False
        self._requests, theirs = _pair()
        with theirs:
            self._pid = _fork(module, theirs, self._said_fd) if from_here else self._spawn(theirs)

    def fork(self, stream: socket.socket, arguments: Sequence[str]) -> None:
        """Asks for a worker that has the other end of a pair, `stream`, which can be closed then.

        The first thing that it writes is its pid. The pair's other end is closed if no worker comes of it.
        """
        descriptor = array.array("i", [stream.fileno()])
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)
        message = json.dumps(arguments).encode()
        try:
            self._requests.sendmsg([message], [rights])
        except OSError:  # it has died, or it does not take its requests
            self._end()
            self._requests, theirs = _pair()
            with theirs:
                self._pid = self._spawn(theirs)
            with suppress(OSError):
                self._requests.sendmsg([message], [rights])

    def cpu_s(self) -> float:
        """CPU seconds of the one that runs now: mostly those of its start."""
        return run_time_of(self._pid)[0] / 1e9

    def has_complained(self) -> bool:
        """Whether it or a worker has written to its stderr: one that is killed does not."""
        return os.fstat(self._said_fd).st_size > 0

    def pass_on(self) -> None:
        """Says on our stderr what the first of them that said something has said on its own."""
        said = b"" if self._has_passed_on else os.pread(self._said_fd, _MOST_SAID_BYTES, 0)
        if said:
            self._has_passed_on = True
            text = said.decode(errors="backslashreplace")
            os.write(2, _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text).encode())

    def close(self) -> None:
        """Ends it and waits for nothing; its workers end by their own streams. Safe to call twice."""
        if self._said_fd >= 0:
            self._end()
            self.pass_on()
            os.close(self._said_fd)
            self._said_fd = -1

    def _spawn(self, requests: socket.socket) -> int:
        """Starts it in a session of its own, in which its `command` gets `requests`; its pid."""
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, self._said_fd, 2),
            (os.POSIX_SPAWN_DUP2, requests.fileno(), _REQUESTS_FD),
        ]
        command = [*self.command, str(_REQUESTS_FD)]
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=files, setsid=True)
        set_session_priority(pid, os.getpriority(os.PRIO_PROCESS, pid))
        return pid

    def _end(self) -> None:
        """Ends the one that runs; it is waited for if it has ended already."""
        self._requests.close()
        pid, self._pid = self._pid, 0
        if pid:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Our end for requests, which does not block, and the fork server's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def _fork(module: str, requests: socket.socket, said_fd: int) -> int:
    """Forks the fork server from this process; its pid."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    pid = os.fork()
    if pid == 0:
        _become(module, requests.fileno(), said_fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _become(module: str, requests_fd: int, said_fd: int) -> NoReturn:
    """In the child, with Ctrl-C blocked: runs the `module`, and whatever happens returns to nobody."""
    code = 1
    try:
        os.setsid()
        set_session_priority(os.getpid(), os.getpriority(os.PRIO_PROCESS, 0))
        for fd in (0, 1):
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        os.dup2(said_fd, 2)
        os.dup2(requests_fd, _REQUESTS_FD, inheritable=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        sys.argv[1:] = [str(_REQUESTS_FD)]
        import_module(module).main()
        code = 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _close_others() -> None:
    """Closes what the fork server does not need, however it came to it."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > _REQUESTS_FD:
            with suppress(OSError):  # that of the listing itself is gone
                os.close(fd)


def fork_workers(work: Callable[[socket.socket, list[str]], None]) -> None:
    """Forks a worker for each request on the socket whose descriptor is the first argument, until that ends.

    In the worker it returns after `work`. To be called by the only thread, when all modules are imported.
    """
    _close_others()
    gc.freeze()  # pages that no collection touches are shared by all workers, and with our parent
    gc.enable()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, _MOST_REQUEST_BYTES, 1)
            if not message:
                return
            stream = socket.socket(fileno=descriptors[0])
            if _fork_sibling() == 0:
                requests.close()
                # An error leaves it open until its traceback is written, which is looked for at its end.
                work(stream, json.loads(message))
                return
            stream.close()


def _fork_sibling() -> int:
    """As os.fork(), but what it makes is a child of our own parent. Raises OSError."""
    own = ctypes.PyDLL(None, use_errno=True)  # the interpreter and libc, called with its lock held
    own.PyOS_BeforeFork()
    pid: int = own.syscall(_SYS_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        own.PyOS_AfterFork_Child()
    else:
        own.PyOS_AfterFork_Parent()
    return check(pid)
