"""The interpreters that this machine has to test on, each with how to start it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.interpreters.enter_root import MOUNTED_AT, PROGRAMS

LAID_OUT = Path(__file__).resolve().parents[2] / ".cache" / "interpreters"
MATRIX = "matrix.tsv"
FROM_SOURCE = {
    "free-threaded": LAID_OUT / "free-threaded" / "bin" / "python3.13t",
    "jit": LAID_OUT / "jit" / "bin" / "python3.13",
    "musl": LAID_OUT / "musl" / "bin" / "python3.13",
}
"""The programs that `from_source` makes."""

_EXECUTABLE = re.compile(r"python[23]\.\d+t?")


@dataclass(frozen=True)
class Interpreter:
    """An interpreter: `program` is its path under `root`, which is ``/`` for one of the machine itself."""

    name: str
    program: str
    root: Path = Path("/")

    @property
    def options(self) -> tuple[str, ...]:
        """What it is started with."""
        return ()

    @property
    def version(self) -> tuple[int, int]:
        """The version in the program's name: ``(3, 11)``."""
        major, minor = re.findall(r"\d+", Path(self.program).name)
        return int(major), int(minor)

    @property
    def row(self) -> str:
        """Its name in tables: ``3.13.5 (trixie)``."""
        place, _, version = self.name.rpartition("-") if self.name[-1].isdigit() else (self.name, "", "")
        return f"{version or '.'.join(map(str, self.version))} ({place})"

    @property
    def without(self) -> tuple[str, ...]:
        """Columns of the tables that this version can't have."""
        return ()

    def command(self, program: str, *arguments: str, contained: bool = False) -> list[str]:
        """The command that runs a file of ``programs``; in a root, or if `contained`, as a container does."""
        if self.root == Path("/") and not contained:
            return [self.program, *self.options, str(PROGRAMS / program), *arguments]
        return self.contained(self.program, *self.options, f"{MOUNTED_AT}/{program}", *arguments)

    def contained(self, *command: str) -> list[str]:
        """Runs `command` in its root, as in a container."""
        return [sys.executable, str(PROGRAMS.parent / "enter_root.py"), str(self.root), *command]


class Python(Interpreter):
    """A CPython."""

    options = ("-B",)


class Ruby(Interpreter):
    """A Ruby."""

    options = ("--disable-gems",)

    @property
    def without(self) -> tuple[str, ...]:
        return ("two ractors",) if self.version < (3, 0) else ()


_JIT = ("opcache.enable_cli=1", "opcache.jit_buffer_size=64M")
PHP_MODES: Mapping[str, tuple[str, ...]] = {
    "plain": ("opcache.enable=0",),
    "opcache": ("opcache.enable_cli=1", "opcache.jit=off"),
    "tracing": (*_JIT, "opcache.jit=tracing"),
    "function": (*_JIT, "opcache.jit=function"),
}
"""What runs a PHP's code: the settings for each. The last two are ways to compile it."""


@dataclass(frozen=True)
class Php(Interpreter):
    """A PHP, which runs code in one of `PHP_MODES`."""

    mode: str = "plain"

    @property
    def options(self) -> tuple[str, ...]:
        """No configuration but these settings; with JSON, which 7.4 has as an extension.

        Opcache is an extension before 8.5.
        """
        # Without the first, a PHP that finds no time zones says so on stdout.
        settings = ["display_startup_errors=0", *PHP_MODES[self.mode]]
        settings += ["extension=json"] if self.version < (8, 0) else []
        settings += ["zend_extension=opcache"] if self.version < (8, 5) and self.mode != "plain" else []
        return ("-n", *(word for setting in settings for word in ("-d", setting)))

    @property
    def without(self) -> tuple[str, ...]:
        return () if self.version >= (8, 1) else ("fiber",) if self.version >= (8, 0) else ("fiber", "JIT")

    @property
    def compiles(self) -> bool:
        """Whether the JIT is on."""
        return self.mode in ("tracing", "function")

    def modes(self) -> list[Php]:
        """It, in each mode that its version has."""
        modes = [mode for mode in PHP_MODES if self.version >= (8, 0) or mode in ("plain", "opcache")]
        return [replace(self, mode=mode) for mode in modes]

    def sibling(self, name: str, folder: str = "/usr/bin") -> str:
        """The program of that name that was made with it: ``phpdbg``."""
        return f"{folder}/{name}{'.'.join(map(str, self.version))}"


def pythons() -> list[Python]:
    """Every CPython at hand: the machine's, pyenv's, and what `lay_out` and `from_source` have made."""
    found = [Python("system", str(Path("/usr/bin/python3").resolve()))]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    readable = os.access(versions, os.R_OK | os.X_OK)  # root's home is closed to others
    for program in sorted(versions.glob("*/bin/python*")) if readable else ():
        if _EXECUTABLE.fullmatch(program.name):
            found.append(Python(f"pyenv-{program.parent.parent.name}", str(program)))
    for name, executable, root in _laid_out("python"):
        found.append(Python(name, executable, root))
    found += [Python(name, str(program)) for name, program in FROM_SOURCE.items() if program.exists()]
    return sorted(found, key=lambda python: (python.version, python.name))


def rubies() -> list[Ruby]:
    """Every Ruby at hand: the machine's, and what `lay_out` has made."""
    found = [Ruby("system", str(Path("/usr/bin/ruby").resolve()))]
    found += [Ruby(name, executable, root) for name, executable, root in _laid_out("ruby")]
    return sorted(found, key=lambda ruby: (ruby.version, ruby.name))


def phps() -> list[Php]:
    """Every PHP that `lay_out` has made."""
    found = [Php(name, executable, root) for name, executable, root in _laid_out("php")]
    return sorted(found, key=lambda php: (php.version, php.name))


def _laid_out(language: str) -> Iterator[tuple[str, str, Path]]:
    """Name, program and root of each interpreter of `language` in the matrix."""
    matrix = LAID_OUT / MATRIX
    for line in matrix.read_text().splitlines() if matrix.exists() else ():
        layer, version, program = line.split("\t")
        if Path(program).name.startswith(language):
            yield f"{layer}-{version}", program, LAID_OUT / layer / "root"


def pythons_of_the_machine() -> list[Python]:
    """The Pythons that need no root file system of their own."""
    return [python for python in pythons() if python.root == Path("/")]
