"""The command `pidflame`: raises the priority before it imports the rest, which takes its time."""

from __future__ import annotations

import gc
import os
import signal
import sys

from profiler.priority import raise_priority, raise_session, restore_session
from symbolizers.process.own_name import MAIN, take_name


def main() -> None:
    """Runs the command line and exits with its code."""
    _open_standard_descriptors()
    take_name(MAIN)
    raise_priority()
    if sys.argv[1:2] == ["record"]:
        raise_session()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would take our children from us
    gc.disable()  # until all is imported: it would look for garbage some forty times, and find none
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit("pidflame: interrupted before it began")
    except SystemExit as ended:
        if isinstance(ended.code, int):
            _end(ended.code)
        raise


def _run() -> None:
    try:
        from profiler.cli import main as run

        run()
    finally:
        restore_session()


def _end(code: int) -> None:
    """Ends the process at once: to take the interpreter apart takes up to a tenth of a second.

    Whatever was written is in its file by now.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it was closed when we started
                stream.flush()
    except OSError:  # nobody reads what we say
        code = code or 1
    os._exit(code)


def _open_standard_descriptors() -> None:
    """Opens /dev/null for each of stdin, stdout and stderr that is closed; else an output would become it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
