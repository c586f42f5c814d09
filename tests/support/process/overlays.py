"""Overlays of the tests' own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def overlay(place: Path, below: Path) -> Iterator[Path]:
    """A file system that shows what is `below`, and has changes of its own."""
    mounted = place / "mounted"
    for name in ("upper", "work", "mounted"):
        (place / name).mkdir()
    options = f"lowerdir={below},upperdir={place / 'upper'},workdir={place / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "none", "-o", options, mounted], check=True)
    try:
        yield mounted
    finally:
        # Another recording on this machine may have its files open.
        subprocess.run(["umount", "--lazy", mounted], check=True)
