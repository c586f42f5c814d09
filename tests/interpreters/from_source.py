"""Builds the CPythons that no distribution here has: ``from_source.py``. It takes ten minutes on two cores.

They are one without a GIL, one with the JIT, and one against musl (which Alpine Linux has). All come from
the source package of the release from which `lay_out` has CPython 3.13, and go into ``.cache/interpreters``;
what is there already stays. This needs a C compiler, make, clang-19 and llvm-19 (JIT) and musl-tools.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.interpreters.at_hand import FROM_SOURCE, LAID_OUT
from tests.interpreters.lay_out import apt, mirror, new_apt

_RELEASE, _SOURCE = "trixie", "python3.13"
_ZLIB_RELEASE = "bookworm"
_OPTIONS = ("--without-ensurepip", "--disable-test-modules", "--quiet")
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""It keeps other Pythons out: a script makes the JIT's templates, and needs 3.11 at least."""
_MUSL_COMPILER = """#!/bin/sh
for argument; do
    [ "$argument" != --print-multiarch ] || { echo x86_64-linux-musl; exit; }
done
exec musl-gcc "$@"
"""
"""musl-gcc itself says what the compiler under it is for, and configure would find a contradiction."""


def run(command: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> None:
    """Runs `command` in `folder`, silently. Raises `subprocess.CalledProcessError`."""
    environment = {**os.environ, "PATH": _SYSTEM_PATH, **(variables or {})}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)


def unpack_source(folder: Path, release: str, package: str) -> Path:
    """Downloads a source package into `folder`, and gives the folder of its files there."""
    place = folder / package
    new_apt(place, f"deb-src {{}} {mirror()} {release} main\n")
    apt(place, "update")
    apt(place, "--download-only", "source", package)
    (archive,) = (path for path in place.glob("*.orig.tar.*") if path.suffix != ".asc")
    source = place / "source"
    source.mkdir()
    run(["tar", "-xf", str(archive), "-C", str(source), "--strip-components=1"], place)
    return source


def with_newer_llvm(folder: Path, source: Path) -> dict[str, str]:
    """3.13's JIT asks for LLVM 18; LLVM 19 compiles its templates just as well."""
    tools = source / "Tools" / "jit" / "_llvm.py"
    text = tools.read_text()
    assert "_LLVM_VERSION = 18" in text
    tools.write_text(text.replace("_LLVM_VERSION = 18", "_LLVM_VERSION = 19"))
    return {}


def with_musl(folder: Path, source: Path) -> dict[str, str]:
    """A compiler for musl, and the one library that the programs need: the system's are all glibc's."""
    compiler = folder / "musl-cc"
    compiler.write_text(_MUSL_COMPILER)
    compiler.chmod(0o755)
    zlib = unpack_source(folder, _ZLIB_RELEASE, "zlib")
    run(["./configure", "--static"], zlib, {"CC": str(compiler), "CFLAGS": "-O2 -fPIC"})
    run(["make", "libz.a"], zlib)
    return {
        "CC": str(compiler),
        "PKG_CONFIG": "false",
        "ZLIB_CFLAGS": f"-I{zlib}",
        "ZLIB_LIBS": f"-L{zlib} -lz",
    }


Prepare = Callable[[Path, Path], dict[str, str]]
"""Changes the source, in the second folder, as needed; returns variables for configure."""

BUILDS: Mapping[str, tuple[str, Prepare]] = {
    "free-threaded": ("--disable-gil", lambda folder, source: {}),
    "jit": ("--enable-experimental-jit", with_newer_llvm),
    "musl": ("--with-pymalloc", with_musl),
}
"""configure's option for each of `FROM_SOURCE`."""


def build(name: str, folder: Path) -> None:
    """Downloads, builds and installs, all in `folder`. Raises `subprocess.CalledProcessError`."""
    option, prepare = BUILDS[name]
    source = unpack_source(folder, _RELEASE, _SOURCE)
    variables = prepare(folder, source)
    run(["./configure", f"--prefix={folder / 'installed'}", option, *_OPTIONS], source, variables)
    run(["make", "--silent", f"--jobs={os.cpu_count()}"], source)
    run(["make", "--silent", "install"], source)


def main() -> int:
    """Builds those that are not there; returns 1 if one failed."""
    failed = 0
    for name, program in FROM_SOURCE.items():
        if program.exists():
            continue
        folder = LAID_OUT / f"making-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            build(name, folder)
        except subprocess.CalledProcessError as error:
            print(f"no CPython ({name}): {error}\n{error.stderr[-2000:]}", file=sys.stderr)
            failed = 1
            continue
        (folder / "installed").rename(program.parents[1])
        shutil.rmtree(folder)
    return failed


if __name__ == "__main__":
    sys.exit(main())
