"""The root file systems of fresh machines, under ``.cache/fresh``.

``RELEASE`` is pristine: what debootstrap calls minimal, with make and git, and nothing else. ``RELEASE.run``
is a copy of it, in which one run happens. An overlay would be quicker to make, but its files are not those of
a disk: tests look at pages that are not in the page cache and at the identity of mapped files. A run locks
the root that it uses, with ``ROOT.lock``.
"""

from __future__ import annotations

import fcntl
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


class RootInUse(RuntimeError):
    """Another run in this checkout uses the root."""


@contextmanager
def _locked(root: Path, *, wait: bool = False) -> Iterator[None]:
    """Locks `root` against other runs. Raises `RootInUse` unless it is free or the caller can `wait`."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(root.with_name(f"{root.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise RootInUse(f"another run uses {root}: wait until it has ended") from None
        yield


def downloads(release: str) -> Path:
    """The folder of packages that apt downloaded for `release`; runs share it, so that each is had once."""
    folder = FRESH / f"{release}.packages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pristine(release: str) -> Path:
    """The root that runs start from, made once."""
    root = FRESH / release
    with _locked(root, wait=True):
        if root.exists():
            return root
        making = root.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        options = [f"--include={','.join(INSTALLED_BEFORE)}", f"--cache-dir={downloads(release)}"]
        command = ["debootstrap", "--variant=minbase", *options, release, str(making), mirror()]
        subprocess.run(command, check=True)
        return making.rename(root)


def _git(*arguments: str | Path) -> None:
    # The repository may belong to the user who called sudo.
    subprocess.run(["git", "-c", f"safe.directory={REPOSITORY}", *map(str, arguments)], check=True)


def _clone(root: Path) -> None:
    """Brings the clone in `root` to the commit that is checked out here."""
    clone, bundle = root / CLONE, root / HOME / "pidflame.bundle"
    _git("-C", REPOSITORY, "bundle", "create", "--quiet", bundle, "HEAD")
    _git("-c", "init.defaultBranch=main", "init", "--quiet", clone)
    _git("-C", clone, "fetch", "--quiet", bundle, "HEAD")
    _git("-C", clone, "checkout", "--quiet", "--detach", "FETCH_HEAD")


def is_committed() -> bool:
    """Whether the files here are those of the current commit."""
    safe = ("-c", f"safe.directory={REPOSITORY}")
    command = ["git", *safe, "-C", str(REPOSITORY), "status", "--porcelain"]
    return not subprocess.run(command, check=True, capture_output=True).stdout


@contextmanager
def fresh_root(release: str, *, keep: bool = False) -> Iterator[Path]:
    """A root of a fresh machine with a clone of the current commit in it, gone at the end.

    `keep`: the root stays, and is the one that the last such call left. Raises `RootInUse`.
    """
    root = FRESH / f"{release}.{'kept' if keep else 'run'}"
    with _locked(root):
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
