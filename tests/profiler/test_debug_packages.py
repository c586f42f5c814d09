"""Which package has the symbols of a file: from forged lists of dpkg's, and from those of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from profiler.debug_packages import debug_package, debug_packages, how_to_install, is_installed


@pytest.mark.parametrize(
    ("package", "symbols"),
    [
        ("libc6", "libc6-dbg"),
        ("python3.11-minimal", "python3.11-dbg"),
        ("libpython3.13-minimal", "python3.13-dbg"),
        ("libpython3.11", "python3.11-dbg"),
        ("python3-yaml", "python3-yaml-dbgsym"),
        ("libc6-dev", "libc6-dev-dbgsym"),
        ("libssl3t64", "libssl3t64-dbgsym"),
    ],
)
def test_the_package_with_the_symbols_of_another(package: str, symbols: str) -> None:
    assert debug_package(package) == symbols


def test_files_are_found_in_dpkgs_lists(tmp_path: Path) -> None:
    """By their whole path, if they are the same file here as where they run."""
    program, other = tmp_path / "program", tmp_path / "program.conf"
    for path in (program, other):
        path.touch()
    lists = tmp_path / "info"
    lists.mkdir()
    (lists / "some:amd64.list").write_text(f"/.\n{program}\n{tmp_path}/more\n")
    (lists / "some:amd64.md5sums").write_text(f"\n{other}\n")
    (lists / "other.list").write_text(f"/.\n{program}/inside\n")
    inode = os.stat(program).st_ino
    files = {str(program): inode, str(other): os.stat(other).st_ino}
    assert debug_packages(files, lists) == {str(program): "some-dbgsym"}
    assert debug_packages({str(program): inode + 1}, lists) == {}
    assert debug_packages(files, tmp_path / "nowhere") == {}
    assert [is_installed(name, lists) for name in ("some", "other", "som", "more")] == [
        True,
        True,
        False,
        False,
    ]


def test_this_machines_files_are_those_that_dpkg_says() -> None:
    """Those that programs run, some of which are listed by a name that is a link now."""
    libraries = Path("/usr/lib/x86_64-linux-gnu")
    files = ["/usr/bin/python3.11", *(str(libraries / name) for name in ("libc.so.6", "libcrypto.so.3"))]
    said = {}
    for path in files:
        for name in (path, path.removeprefix("/usr")):
            found = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
            if not found.returncode:
                said[path] = debug_package(found.stdout.partition(":")[0])
    assert len(said) == len(files)
    assert debug_packages({path: os.stat(path).st_ino for path in files}) == said


def test_the_command_says_where_automatic_packages_are() -> None:
    assert how_to_install(["libc6-dbg", "libc6-dbg"]) == "'apt-get install libc6-dbg'"
    assert how_to_install(["zstd-dbgsym", "libc6-dbg"]) == (
        "'apt-get install libc6-dbg zstd-dbgsym' (-dbgsym: in debian-debug, ddebs.ubuntu.com)"
    )
