"""The package with a stripped file's symbols, on Debian and Ubuntu: from dpkg's lists, without a network.

Symbols that were split off automatically are in ``PACKAGE-dbgsym``, which an archive of its own has. Of some
sources, a package is still made by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from symbolizers.registry import DEBUG_PACKAGES

_LISTS: Final = Path("/var/lib/dpkg/info")
_MOST_LISTS: Final = 1 << 14
_MOST_LIST_BYTES: Final = 8 << 20
_BY_HAND: Final = {r"(libc6)": r"\1-dbg", **DEBUG_PACKAGES}
"""Packages, and what the one with their symbols is called."""
AUTOMATIC: Final = "-dbgsym"


def debug_packages(files: Mapping[str, int], lists: Path = _LISTS) -> dict[str, str]:
    """Of those `files` (path to inode) that a package has installed here, the package with their symbols.

    A path of a container is left out if it is another file here. `lists`: dpkg's folder of packages' files.
    Empty on other distributions.
    """
    wanted = {name: path for path in files for name in _names_of(path)}
    found: dict[str, str] = {}
    with suppress(OSError):
        for package, text in _lists(lists):
            for name, path in wanted.items():
                if f"\n{name}\n".encode() in text and _is_inode(path, files[path]):
                    found[path] = debug_package(package)
    return found


def debug_package(package: str) -> str:
    """The one with the symbols of `package`."""
    for pattern, name in _BY_HAND.items():
        if (made := re.fullmatch(pattern, package)) is not None:
            return made.expand(name)
    return package + AUTOMATIC


def is_installed(package: str, lists: Path = _LISTS) -> bool:
    """Whether the package is there, in whichever version."""
    return next(lists.glob(f"{package}.list"), None) is not None or any(lists.glob(f"{package}:*.list"))


def how_to_install(packages: Iterable[str]) -> str:
    """The command, and where packages of this name are."""
    names = sorted({*packages})
    archive = (
        " (-dbgsym: in debian-debug, ddebs.ubuntu.com)" if any(n.endswith(AUTOMATIC) for n in names) else ""
    )
    return f"'apt-get install {' '.join(names)}'{archive}"


def _names_of(path: str) -> tuple[str, ...]:
    """What a package may call it: /lib and the like have become links into /usr."""
    return (
        (path, path.removeprefix("/usr"))
        if path.startswith(("/usr/lib", "/usr/bin", "/usr/sbin"))
        else (path,)
    )


def _lists(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each package and its list of files, one a line."""
    with os.scandir(folder) as entries:
        for _, entry in zip(range(_MOST_LISTS), entries, strict=False):
            name, suffix = os.path.splitext(entry.name)
            if suffix == ".list":
                with open(entry.path, "rb") as stream:
                    yield name.partition(":")[0], stream.read(_MOST_LIST_BYTES)


def _is_inode(path: str, inode: int) -> bool:
    try:
        return os.stat(path).st_ino == inode
    except OSError:
        return False
