"""The interpreters that this machine has to test on, each with how to start it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.interpreters.enter_root import MOUNTED_AT, PROGRAMS

LAID_OUT = Path(__file__).resolve().parents[2] / ".cache" / "interpreters"
MATRIX = "matrix.tsv"
FREE_THREADED = LAID_OUT / "free-threaded" / "bin" / "python3.13t"

_EXECUTABLE = re.compile(r"python[23]\.\d+t?")


@dataclass(frozen=True)
class Python:
    """A CPython: `program` is its path under `root`, which is ``/`` for one of the machine itself."""

    name: str
    program: str
    root: Path = Path("/")

    @property
    def version(self) -> tuple[int, int]:
        """Of the program's name: ``(3, 11)``."""
        major, minor = re.findall(r"\d+", Path(self.program).name)
        return int(major), int(minor)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Runs a file of this directory's ``programs``; where it has a root of its own, in there."""
        if self.root == Path("/"):
            return [self.program, "-B", str(PROGRAMS / program), *arguments]
        enter = [sys.executable, str(PROGRAMS.parent / "enter_root.py"), str(self.root)]
        return [*enter, self.program, "-B", f"{MOUNTED_AT}/{program}", *arguments]


def pythons() -> list[Python]:
    """Every CPython at hand: the machine's, pyenv's, and what `lay_out` and `free_threaded` have made."""
    found = [Python("system", str(Path("/usr/bin/python3").resolve()))]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for program in sorted(versions.glob("*/bin/python*")):
        if _EXECUTABLE.fullmatch(program.name):
            found.append(Python(f"pyenv-{program.parent.parent.name}", str(program)))
    matrix = LAID_OUT / MATRIX
    for line in matrix.read_text().splitlines() if matrix.exists() else ():
        layer, version, executable = line.split("\t")
        found.append(Python(f"{layer}-{version}", executable, LAID_OUT / layer / "root"))
    if FREE_THREADED.exists():
        found.append(Python("free-threaded", str(FREE_THREADED)))
    return sorted(found, key=lambda python: (python.version, python.name))
