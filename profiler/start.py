"""The command `pidflame`: raises the priority before it imports the rest, which takes its time."""

from __future__ import annotations

from profiler.priority import raise_priority


def main() -> None:
    """Runs the command line and exits with its code."""
    raise_priority()
    from profiler.cli import main as run

    run()
