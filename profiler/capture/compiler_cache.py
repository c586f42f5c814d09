"""Compiled samplers of earlier runs, in a folder that nobody else can write to."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOTS = Path("/var/cache/pidflame")
_MOST_BYTES = 1 << 22
_MOST_FILES = 8
"""The oldest go: each new kernel, and each new version, makes one."""
_SUFFIX = ".sampler.json"


class CacheRefused(Exception):
    """What is where the cache should be is not used; says why."""


def folder() -> Path:
    """The user's cache folder of this program: for root one of the system's."""
    if os.geteuid() == 0:
        return _ROOTS
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pidflame")


def key_of(*parts: bytes) -> str:
    """A name for what was made of these `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def read(key: str) -> bytes | None:
    """What was kept under the `key`; None if there is nothing. Raises `CacheRefused`."""
    try:
        with _opened() as at:
            fd = os.open(key + _SUFFIX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheRefused(f"{folder() / key}{_SUFFIX}: {error.strerror}") from None
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        _check_owner(folder() / (key + _SUFFIX), found)
        if not stat.S_ISREG(found.st_mode):
            raise CacheRefused(f"{folder() / key}{_SUFFIX} is no file")
        return file.read(_MOST_BYTES)


def keep(key: str, data: bytes) -> None:
    """Keeps the `data` under the `key`, and makes the folder for it. Raises `CacheRefused`."""
    try:
        folder().parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder().mkdir(0o700)
        with _opened() as at:
            temporary = f".{secrets.token_hex(8)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=at), "wb") as file:
                file.write(data)
            os.rename(temporary, key + _SUFFIX, src_dir_fd=at, dst_dir_fd=at)
            _remove_oldest(at)
    except OSError as error:
        raise CacheRefused(f"{folder()}: {error.strerror}") from None


def _remove_oldest(at: int) -> None:
    names = os.listdir(at)
    names.sort(key=lambda name: os.stat(name, dir_fd=at, follow_symlinks=False).st_mtime_ns)
    for name in names[:-_MOST_FILES]:
        os.unlink(name, dir_fd=at)


@contextmanager
def _opened() -> Iterator[int]:
    """The folder's descriptor. Raises OSError, or `CacheRefused` if others could have written to it."""
    fd = os.open(folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_owner(folder(), os.fstat(fd))
        yield fd
    finally:
        os.close(fd)


def _check_owner(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid() or mode & 0o077:
        raise CacheRefused(
            f"{path} belongs to user {found.st_uid} and has mode {mode:04o}: others may write or read it"
        )
