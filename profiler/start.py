"""The command `pidflame`: raises the priority before it imports the rest, which takes its time."""

from __future__ import annotations

import gc
import os
import sys

from profiler.priority import raise_priority


def main() -> None:
    """Runs the command line and exits with its code."""
    _open_standard_descriptors()
    raise_priority()
    gc.disable()  # until all is imported: it would look for garbage some forty times, and find none
    try:
        from profiler.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit("pidflame: interrupted before it began")


def _open_standard_descriptors() -> None:
    """Opens /dev/null for each of stdin, stdout and stderr that is closed; else an output would become it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
