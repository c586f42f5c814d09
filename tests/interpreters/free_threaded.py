"""Builds a CPython without a GIL, which no distribution has: ``free_threaded.py``. Five minutes of two cores.

From the source package of the release that `lay_out` has CPython 3.13 from, into ``.cache/interpreters``;
what is there already stays. Needs a C compiler and make.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.interpreters.at_hand import FREE_THREADED, LAID_OUT
from tests.interpreters.lay_out import apt, mirror, new_apt

_RELEASE = "trixie"
_SOURCE = "python3.13"
_OPTIONS = ("--disable-gil", "--without-ensurepip", "--disable-test-modules", "--quiet")


def build(folder: Path) -> None:
    """Downloads, builds and installs, all in `folder`. Raises `subprocess.CalledProcessError`."""
    new_apt(folder, f"deb-src {{}} {mirror()} {_RELEASE} main\n")
    apt(folder, "update")
    apt(folder, "--download-only", "source", _SOURCE)
    (archive,) = folder.glob("*.orig.tar.xz")
    source = folder / "source"
    source.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", source, "--strip-components=1"], check=True)
    for command in (
        ["./configure", f"--prefix={folder / 'installed'}", *_OPTIONS],
        ["make", "--silent", f"--jobs={os.cpu_count()}"],
        ["make", "--silent", "install"],
    ):
        subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> int:
    """Builds it unless it is there; 1 where that failed."""
    if FREE_THREADED.exists():
        return 0
    folder = LAID_OUT / "making-free-threaded"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        build(folder)
    except subprocess.CalledProcessError as error:
        print(f"no free-threaded CPython: {error}", file=sys.stderr)
        return 1
    (folder / "installed").rename(FREE_THREADED.parents[1])
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
