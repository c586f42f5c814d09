"""The command `pidflame`: raises the priority before it imports the rest, which takes its time."""

from __future__ import annotations

import sys

from profiler.priority import raise_priority


def main() -> None:
    """Runs the command line and exits with its code."""
    raise_priority()
    try:
        from profiler.cli import main as run
    except KeyboardInterrupt:
        sys.exit(1)  # nothing was recorded yet
    run()
