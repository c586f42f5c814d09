"""Starts the command to profile, so that not even its first instruction is missed."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Sequence
from contextlib import suppress

from profiler.errors import UsageError
from profiler.invoker import invoker
from profiler.priority import restore_priority
from profiler.privileges import give_up_capabilities, protect_terminal

_FIRST_OF_OURS = 3
"""The command has the descriptors before it: standard input, output and error."""
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python handles or ignores here; an ignored one would stay ignored in the command."""


class Launched:
    """A command that waits for `release`. Lifetime: until its exit code is taken."""

    def __init__(self, command: Sequence[str]) -> None:
        """Forks; the child runs as the user who called sudo, if any. Raises `UsageError` for no command."""
        if not command:
            raise UsageError("there is no command after '--'")
        hold, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            _become(command, hold)
        os.close(hold)
        self._status: int | None = None

    def release(self) -> None:
        """Lets the command run, unless a signal has ended it while it waited."""
        with suppress(BrokenPipeError):
            os.write(self._go, b"g")
        os.close(self._go)

    def ended(self) -> bool:
        """Whether the command has ended; never waits."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def exit_code(self) -> int:
        """The command's exit code, 128 + N after signal N; waits until it has ended.

        A Ctrl-C meanwhile is the command's own business (the terminal sends it one too); a SIGTERM is
        passed on.
        """
        if self._status is None:
            interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
            terminate = signal.signal(signal.SIGTERM, lambda number, _frame: self.forward(number))
            try:
                while self._status is None:
                    with suppress(ChildProcessError):  # the handler has found it ended
                        self._status = os.waitpid(self.pid, 0)[1]
            finally:
                signal.signal(signal.SIGINT, interrupt)
                signal.signal(signal.SIGTERM, terminate)
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code

    def forward(self, number: int) -> None:
        """Passes signal `number` on to the command, unless it has ended."""
        if not self.ended():
            os.kill(self.pid, number)


def _become(command: Sequence[str], hold: int) -> None:
    """In the child: waits to be released, gives all privileges of ours back, runs the command."""
    try:
        for number in _OURS:
            signal.signal(number, signal.SIG_DFL)
        if not os.read(hold, 1):
            os._exit(1)  # the profiler ended before it began
        restore_priority()
        os.closerange(_FIRST_OF_OURS, os.sysconf("SC_OPEN_MAX"))
        who = invoker()
        if who is not None:
            protect_terminal()
            user = pwd.getpwuid(who.uid)
            os.initgroups(user.pw_name, who.gid)
            os.setgid(who.gid)
            os.setuid(who.uid)
            os.environ["HOME"], os.environ["USER"] = user.pw_dir, user.pw_name
            os.environ["LOGNAME"] = user.pw_name
        give_up_capabilities()
        os.execvp(command[0], list(command))
    except FileNotFoundError:
        os.write(2, f"pidflame: command not found: {command[0]}\n".encode(errors="replace"))
        os._exit(_NOT_FOUND)
    except (OSError, KeyError, UsageError) as error:
        os.write(2, f"pidflame: cannot run {command[0]}: {error}\n".encode(errors="replace"))
        os._exit(_NOT_EXECUTABLE)
