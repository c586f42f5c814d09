"""Swaps the files under one name, and changes one while it is mapped: ``swaps.py PROGRAM LIAR``.

What runs under the name is PROGRAM or LIAR, and by the time that somebody looks it is the other one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

own = Path("swapped")
changed = Path("changed.so")
program, liar = map(Path, sys.argv[1:])
contents = [program.read_bytes(), liar.read_bytes()]
for number in count():
    fresh = Path("fresh")
    shutil.copy((program, liar)[number % 2], fresh)
    fresh.rename(own)
    with subprocess.Popen([own.absolute(), "30"]):
        own.unlink()
        # A new file: often it has the inode number of the one that was removed.
        shutil.copy((liar, program)[number % 2], own)
        end_s = time.monotonic() + 0.02
        while time.monotonic() < end_s:
            for content in contents:
                changed.write_bytes(content[: len(content) - number % 2048])
