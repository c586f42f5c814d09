"""The root file systems of fresh machines, under ``.cache/fresh``.

``RELEASE`` is pristine: what debootstrap calls minimal, with make and git, and nothing else. ``RELEASE.run``
is a copy of it, in which one run happens. An overlay would be there sooner, but its files are not those of a
disk: tests look at pages that are not in the page cache and at the identity of mapped files.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fresh import machine
from tests.interpreters.lay_out import mirror

REPOSITORY = Path(__file__).resolve().parents[2]
FRESH = REPOSITORY / ".cache" / "fresh"
RELEASES = ("bookworm", "trixie")
INSTALLED_BEFORE = ("make", "git")
HOME = Path("root")
CLONE = HOME / "pidflame"
"""Where the repository is in a root."""


def _pristine(release: str) -> Path:
    """The root that runs start from, made once."""
    root = FRESH / release
    if root.exists():
        return root
    making = root.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.parent.mkdir(parents=True, exist_ok=True)
    include = f"--include={','.join(INSTALLED_BEFORE)}"
    subprocess.run(["debootstrap", "--variant=minbase", include, release, making, mirror()], check=True)
    return making.rename(root)


def _keep_downloads(root: Path, release: str) -> None:
    """Lets apt in `root` find what an earlier run downloaded, and leave there what this one does."""
    kept, here = FRESH / f"{release}.debs", root / "var" / "cache" / "apt" / "archives"
    kept.mkdir(exist_ok=True)
    shutil.copytree(kept, here, dirs_exist_ok=True, copy_function=shutil.copy2)


def _keep(root: Path, release: str) -> None:
    for package in (root / "var" / "cache" / "apt" / "archives").glob("*.deb"):
        shutil.copy2(package, FRESH / f"{release}.debs")


def _clone(root: Path) -> None:
    """Brings the clone in `root` to the commit that is checked out here."""
    clone = root / CLONE
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", REPOSITORY, clone], check=True)
    for command in (
        ["fetch", "--quiet", REPOSITORY, "HEAD"],
        ["checkout", "--quiet", "--detach", "FETCH_HEAD"],
    ):
        subprocess.run(["git", "-C", clone, *command], check=True)


@contextmanager
def fresh_root(release: str, *, keep: bool = False) -> Iterator[Path]:
    """A root of a fresh machine with a clone of the current commit in it, gone at the end.

    `keep`: the root stays, and is the one that the last such call left.
    """
    root = FRESH / f"{release}.{'kept' if keep else 'run'}"
    if not (keep and root.exists()):
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", _pristine(release), root], check=True)
    try:
        machine.hand_on(root, release, machine.environment())
        _clone(root)
        yield root
    finally:
        if not keep:
            shutil.rmtree(root)
