"""Starts the command to profile, so that not even its first instruction is missed."""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress

from profiler.errors import CommandNotExecutable, CommandNotFound, UsageError
from profiler.invoker import invoker
from profiler.priority import restore_priority
from profiler.privileges import give_up_capabilities, protect_terminal

_FIRST_OF_OURS = 3
"""The command has the descriptors before it: standard input, output and error."""
_MOST_SAID_BYTES = 1000
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python handles or ignores here; an ignored one would stay ignored in the command."""


def check_executable(name: str) -> None:
    """Raises `CommandNotFound` and `CommandNotExecutable` for a command that nobody can run."""
    from shutil import which  # it imports compressors, which nobody else needs

    if which(name) is not None:
        return
    if "/" not in name or not os.path.exists(name):
        hint = f"; -p {name} records the process" if name.isdigit() else ""
        raise CommandNotFound(f"command not found: {shlex.quote(name)}{hint}")
    what = "it is a folder" if os.path.isdir(name) else "it is no executable file; chmod +x makes it one"
    raise CommandNotExecutable(f"cannot run {shlex.quote(name)}: {what}")


class Launched:
    """A command that waits for `release`. Lifetime: until its exit code is taken."""

    def __init__(self, command: Sequence[str]) -> None:
        """Forks; the child runs as the user who called sudo, if any. Raises `UsageError` for no command."""
        if not command:
            raise UsageError("there is no command after '--'")
        self._name = command[0]
        hold, self._go = os.pipe()
        self._refusal, refuse = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            _become(command, hold, refuse)
        os.close(hold)
        os.close(refuse)
        self._status: int | None = None

    def release(self) -> None:
        """Lets the command run, unless a signal has ended it while it waited."""
        with suppress(BrokenPipeError):
            os.write(self._go, b"g")
        os.close(self._go)

    def check_that_it_ran(self) -> None:
        """Raises `CommandNotFound` or `CommandNotExecutable` if it turned out that it can't be run.

        To be called once, after it has ended or was sampled; the user who called sudo may run less than root.
        """
        os.set_blocking(self._refusal, False)
        try:
            said = os.read(self._refusal, _MOST_SAID_BYTES).decode(errors="replace")
        except BlockingIOError:  # it waits for its release
            return
        finally:
            os.close(self._refusal)
        if said:
            kind = CommandNotFound if self.exit_code() == CommandNotFound.exit_code else CommandNotExecutable
            raise kind(f"cannot run {shlex.quote(self._name)}: {said}")

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


def _become(command: Sequence[str], hold: int, refuse: int) -> None:
    """In the child: waits to be released, gives all privileges of ours back, runs the command.

    If it can't be run, the reason goes to `refuse`.
    """
    try:
        for number in _OURS:
            signal.signal(number, signal.SIG_DFL)
        if not os.read(hold, 1):
            os._exit(1)  # the profiler ended before it began
        restore_priority()
        if refuse != _FIRST_OF_OURS:
            refuse = os.dup2(refuse, _FIRST_OF_OURS, inheritable=False)
        os.closerange(_FIRST_OF_OURS + 1, os.sysconf("SC_OPEN_MAX"))
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
        os.write(refuse, b"it is not there, or the interpreter is not that its first line names")
        os._exit(CommandNotFound.exit_code)
    except OSError as error:
        hint = "; a script begins with #!" if error.errno == errno.ENOEXEC else ""
        os.write(refuse, f"{error.strerror}{hint}".encode(errors="replace"))
    except (KeyError, UsageError) as error:
        os.write(refuse, f"{error}".encode(errors="replace"))
    os._exit(CommandNotExecutable.exit_code)
