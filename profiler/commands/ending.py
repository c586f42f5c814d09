"""What ends a recording from outside: signals, and the end of the command that is recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from profiler.commands.outputs import Outputs
from profiler.commands.results import Results
from profiler.commands.talk import say, say_error
from profiler.errors import PidflameError
from profiler.launch import Launched

if TYPE_CHECKING:  # here, and in progress.py: see `_record` in recording.py
    from profiler.run.session import Session

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Handles the signals that end a recording. Lifetime: from before its outputs are opened until after.

    The first signal stops the recording, which then writes its files. Later ones change nothing, so that
    none of them cuts a file; but the third Ctrl-C gives the recording up and removes what is not in place.
    """

    def __init__(self) -> None:
        self._asked: signal.Signals | None = None
        self._interrupts = 0
        self._outputs: Outputs | None = None
        self._results: Results | None = None
        self._session: Session | None = None
        self._launched: Launched | None = None

    def __enter__(self) -> Ending:
        # nohup ignores SIGHUP, and it stays so.
        ours = [each for each in _ENDING if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._on_signal) for number in ours}
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        # With the outputs written, the process is about to end: a signal must not change its exit code.
        for number, handler in self._before.items():
            signal.signal(number, handler if failed else signal.SIG_IGN)

    def removes(self, outputs: Outputs, results: Results) -> None:
        """What to remove when the recording is given up."""
        self._outputs, self._results = outputs, results

    def check(self) -> None:
        """Raises `PidflameError` if a signal has come: to be called before the command is started."""
        if self._asked is not None:
            raise PidflameError(f"ended by {self._asked.name}: the command was not started")

    @contextmanager
    def stops(self, session: Session, launched: Launched | None) -> Iterator[None]:
        """Stops the session at a signal, and at the end of the command."""
        self._session, self._launched = session, launched
        if self._asked is not None:
            session.stop()

        def child_ended(_number: int, _frame: FrameType | None) -> None:
            if launched is not None and launched.ended():
                session.stop()

        before = signal.signal(signal.SIGCHLD, child_ended)
        try:
            child_ended(signal.SIGCHLD, None)  # it may have ended already
            yield
        finally:
            signal.signal(signal.SIGCHLD, before)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._asked = self._asked or signal.Signals(number)
        if self._session is not None:
            self._session.stop()
        # A terminal sends Ctrl-C to the command itself; the others are meant for us alone.
        if number == signal.SIGINT:
            self._interrupted()
        elif self._launched is not None:
            self._launched.forward(number)

    def _interrupted(self) -> None:
        self._interrupts += 1
        if self._interrupts == 2:
            say("still naming and writing what was recorded; Ctrl-C once more gives it up")
        elif self._interrupts > 2:
            unwritten = self._outputs.unwritten() if self._outputs is not None else []
            if self._outputs is not None:
                self._outputs.close()
            if self._results is not None:
                self._results.close()
            say_error(f"given up at the third Ctrl-C; not written: {', '.join(unwritten) or 'nothing'}")
            # An exception could be caught on its way, and would come in the middle of a clean-up.
            os._exit(PidflameError.exit_code)
