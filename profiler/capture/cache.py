"""What earlier runs have made or fetched, in a folder that nobody else can write to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_ROOTS = Path("/var/cache/pidflame")
_KERNEL_NOTES = Path("/sys/kernel/notes")


class CacheRefused(Exception):
    """What is where the cache should be is not used; says why."""


def folder() -> Path:
    """The user's cache folder of this program: for root one of the system's."""
    if os.geteuid() == 0:
        return _ROOTS
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pidflame")


def key_of(*parts: bytes) -> str:
    """A name for what was made of these `parts`."""
    return _digest(b"".join(len(part).to_bytes(8, "little") + part for part in parts))


def kernel_build() -> bytes:
    """What tells the kernel that runs from all others: with its build id, as two can have one version."""
    notes = _KERNEL_NOTES.read_bytes() if _KERNEL_NOTES.exists() else b""
    return b"\0".join((notes, *map(str.encode, os.uname()[2:])))


def _digest(data: bytes) -> str:
    # hashlib, from where it is meant to come, loads OpenSSL: 3 ms of CPU time in each run.
    try:
        from _blake2 import blake2b

        return blake2b(data, digest_size=32).hexdigest()
    except (ImportError, ValueError):  # another Python than CPython, or one that is in FIPS mode
        from hashlib import sha256

        return sha256(data).hexdigest()


class Cache:
    """Values by key, in files of one `suffix`: of more than `most_files` the oldest go."""

    def __init__(self, suffix: str, *, most_files: int, most_bytes: int) -> None:
        """`most_bytes`: of one value."""
        self._suffix = suffix
        self._most_files = most_files
        self._most_bytes = most_bytes

    def read(self, key: str) -> bytes | None:
        """What was kept under the `key`; None if there is nothing. Raises `CacheRefused`."""
        name = key + self._suffix
        try:
            with _opened() as at:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheRefused(f"{folder() / name}: {error.strerror}") from None
        with open(fd, "rb") as file:
            found = os.fstat(fd)
            _check_owner(folder() / name, found)
            if not stat.S_ISREG(found.st_mode):
                raise CacheRefused(f"{folder() / name} is no file")
            return file.read(self._most_bytes)

    def keep(self, key: str, data: bytes) -> None:
        """Keeps the `data` under the `key`, and makes the folder for it. Raises `CacheRefused`."""
        with self.filled(key) as file:
            file.write(data)

    def has(self, key: str) -> bool:
        """Whether there is something under the `key`."""
        return (folder() / (key + self._suffix)).is_file()

    @contextmanager
    def filled(self, key: str) -> Iterator[BinaryIO]:
        """A file to fill, kept under the `key` if the block ends without an error. Raises `CacheRefused`."""
        try:
            folder().parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder().mkdir(0o700)
            with _opened() as at:
                temporary = f".{os.urandom(8).hex()}{self._suffix}"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    with open(os.open(temporary, flags, 0o600, dir_fd=at), "wb") as file:
                        yield file
                except BaseException:
                    os.unlink(temporary, dir_fd=at)
                    raise
                os.rename(temporary, key + self._suffix, src_dir_fd=at, dst_dir_fd=at)
                self._remove_oldest(at)
        except OSError as error:
            raise CacheRefused(f"{folder()}: {error.strerror}") from None

    def _remove_oldest(self, at: int) -> None:
        names = [name for name in os.listdir(at) if name.endswith(self._suffix)]
        names.sort(key=lambda name: os.stat(name, dir_fd=at, follow_symlinks=False).st_mtime_ns)
        for name in names[: -self._most_files]:
            os.unlink(name, dir_fd=at)


SAMPLERS = Cache(".sampler.json", most_files=24, most_bytes=1 << 22)
"""Each kernel, and each version of ours, makes three parts."""
TABLES = Cache(".unwind", most_files=1024, most_bytes=1 << 24)
"""Unwind tables, one a file of the machine."""
DEBUG_SUFFIX = ".debug"
DEBUG_FILES = Cache(DEBUG_SUFFIX, most_files=64, most_bytes=1 << 28)
"""Files with symbols that were fetched, by build id."""


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
