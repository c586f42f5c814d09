"""A file that is opened before a recording and is under its name only once it is whole.

Its folder may belong to somebody hostile. So a name is opened only where nothing was before, no link is
followed there, and all is written through that one descriptor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from typing import BinaryIO, Protocol

from profiler.commands.output_folder import open_folder
from profiler.errors import UsageError
from profiler.invoker import invoker, trusted_users
from symbolizers.process.syscalls import check

Contents = Callable[[BinaryIO], None]
"""Writes all of a file; may be called again for another one."""

_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STREAM = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_RESCUE_FOLDERS = ("/tmp", "/var/tmp", ".", "~", "/dev/shm")
"""Tried in this order, after TMPDIR. The last is memory, and has room when the disk is full."""
_NAMED_DESCRIPTORS = {"-": 1, "/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile("/(?:dev|proc/self)/fd/([0-9]{1,9})")
_RENAME_NOREPLACE = 1 << 0
"""linux/fs.h; since Linux 3.15, where the file system has it."""
_UNKNOWN_TO_FILE_SYSTEM = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

_LAST_NUMBER = 1000

_libc = ctypes.CDLL(None, use_errno=True)


class Destination(Protocol):
    """Where one output goes. Lifetime: opened before the recording, closed after it."""

    path: str

    def write(self, contents: Contents) -> None:
        """Writes all and puts it in its place. Raises OSError, and what `contents` raises."""

    def close(self) -> None:
        """Removes what was opened and not put in its place. Safe to call twice."""


def open_destination(path: str, *, replace: bool, numbered: bool = False) -> Destination:
    """Opens what `path` names: a new file, or a descriptor, device or pipe that is there already.

    `replace` lets the new file take the place of another. If it is `numbered`, it takes the first name that
    is free of ``run.svg``, ``run-2.svg`` and so on, and never another's place. Raises `UsageError` if it
    can't be written.
    """
    try:
        descriptor = _descriptor_in(path)
        if descriptor is not None:
            return Stream(path, _duplicate(descriptor))
        return _open_in_folder(path, replace=replace, numbered=numbered)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; write elsewhere with -o") from None


def rescue(contents: Contents, suffix: str) -> str:
    """Writes `contents` to a fresh file where there is room; returns its path.

    Raises OSError if there is none, and what `contents` raises.
    """
    reasons: list[Exception] = []
    for name in filter(None, (os.environ.get("TMPDIR"), *_RESCUE_FOLDERS)):
        folder = os.path.expanduser(name)
        try:
            with closing(FreshFile(open_folder(folder), suffix)) as file:
                path = os.path.join(folder, file.name)
                file.fill(contents)
                file.check_is_at(path)
                file.keep()
                return path
        except (OSError, UsageError) as error:
            reasons.append(error)
    raise reasons[0]


class FreshFile:
    """A new file of a name that nobody can guess. It is readable by nobody but who called sudo.

    Raises OSError. Lifetime: until `close`, which removes it unless it was renamed or kept.
    """

    def __init__(self, folder_fd: int, suffix: str) -> None:
        """Makes it in a folder, of which the descriptor is its own from now on."""
        owner = invoker()
        self.name = f"pidflame-{os.urandom(8).hex()}{suffix}"
        self._stays = False
        self._folder_fd = folder_fd
        try:
            self._fd = os.open(self.name, _FRESH, 0o600, dir_fd=folder_fd)
        except OSError:
            os.close(folder_fd)
            raise
        try:
            if owner is not None:
                with suppress(PermissionError):  # a file system without owners
                    os.fchown(self._fd, owner.uid, owner.gid)
        except OSError:
            self.close()
            raise

    def fill(self, contents: Contents) -> None:
        """Writes all. A file system on the network may say only when it is closed that there is no room.

        It does not wait for the disk: others who write to it could hold that up for seconds.
        """
        with open(os.dup(self._fd), "wb") as stream:
            contents(stream)

    def rename(self, name: str, *, replace: bool) -> None:
        """Changes its name in its folder. Only with `replace` may there be something of that name."""
        if replace:
            os.rename(self.name, name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        else:
            _rename_to_free_name(self._folder_fd, self.name, name)
        self.keep()

    def keep(self) -> None:
        """Leaves it under the name that it has."""
        self._stays = True

    def check_is_at(self, path: str) -> None:
        """Raises OSError unless `path` is this very file: the owner of a folder can replace what is in it."""
        if not os.path.samestat(os.fstat(self._fd), os.stat(path, follow_symlinks=False)):
            raise OSError(errno.ESTALE, "its folder or the file was replaced meanwhile")

    def close(self) -> None:
        """Removes it, unless it stays. Safe to call twice."""
        if self._fd < 0:
            return
        try:
            if not self._stays:
                os.unlink(self.name, dir_fd=self._folder_fd)
        except FileNotFoundError:  # it was removed, perhaps with its folder
            pass
        finally:
            os.close(self._fd)
            os.close(self._folder_fd)
            self._fd = -1


class NamedFile:
    """A `Destination` that is a new file. It has another name in its folder until it is whole."""

    def __init__(self, path: str, folder_fd: int, *, replace: bool, numbered: bool = False) -> None:
        self.path = path
        self._replace = replace
        self._last_number = _LAST_NUMBER if numbered else 1
        folder = os.fstat(folder_fd)
        self.place = (folder.st_dev, folder.st_ino, os.path.basename(path))
        """The same for two paths of one file."""
        self._file = FreshFile(folder_fd, ".part")

    def write(self, contents: Contents) -> None:
        self._file.fill(contents)
        self._rename()
        self._file.check_is_at(self.path)

    def _rename(self) -> None:
        """Gives it its name, which may get a number. Raises FileExistsError if all are taken."""
        stem, suffix = os.path.splitext(self.path)
        for number in range(1, self._last_number + 1):
            if number > 1:
                self.path = f"{stem}-{number}{suffix}"
            try:
                self._file.rename(os.path.basename(self.path), replace=self._replace)
                return
            except FileExistsError:
                if number == self._last_number:
                    raise

    def close(self) -> None:
        self._file.close()


class Stream:
    """A `Destination` that is there already, and takes what is written to it at once."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def write(self, contents: Contents) -> None:
        with open(self._fd, "wb", closefd=False) as stream:
            contents(stream)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _descriptor_in(path: str) -> int | None:
    """The descriptor that `path` names; links in /dev are no files that could be replaced."""
    match = _DESCRIPTOR.fullmatch(path)
    return int(match[1]) if match else _NAMED_DESCRIPTORS.get(path)


def _duplicate(fd: int) -> int:
    """A copy of a descriptor that we were started with; our own are not inheritable. Raises OSError."""
    if not os.get_inheritable(fd):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return os.dup(fd)


def _open_in_folder(path: str, *, replace: bool, numbered: bool) -> Destination:
    folder, name = os.path.split(path)
    if not name:
        raise UsageError(f"{path!r} names no file; name one with -o")
    try:
        folder_fd = open_folder(folder)
    except FileNotFoundError:
        raise UsageError(
            f"the folder of {path} does not exist; make it, or write elsewhere with -o"
        ) from None
    try:
        if numbered:
            return NamedFile(path, os.dup(folder_fd), replace=False, numbered=True)
        mode = _mode_of(name, folder_fd)
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return Stream(path, _open_stream(path, folder_fd))
        if mode and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise UsageError(f"{path} is neither a file nor a pipe; write elsewhere with -o")
        if mode and not replace:
            raise UsageError(f"{path} exists; --force overwrites it")
        return NamedFile(path, os.dup(folder_fd), replace=replace)
    finally:
        os.close(folder_fd)


def _mode_of(name: str, folder_fd: int) -> int:
    """The type and mode of what has this name; 0 if there is nothing. Raises OSError."""
    try:
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _open_stream(path: str, folder_fd: int) -> int:
    """Opens a device or a pipe that is there. Raises OSError and `UsageError`."""
    try:
        fd = os.open(os.path.basename(path), _STREAM, dir_fd=folder_fd)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UsageError(f"nobody reads from {path}: start its reader first") from None
        raise
    found = os.fstat(fd)
    # Whoever plants a pipe at a name that we will write to would read the recording.
    is_ours = stat.S_ISFIFO(found.st_mode) and found.st_uid in trusted_users()
    if not (is_ours or stat.S_ISCHR(found.st_mode)):
        os.close(fd)
        raise UsageError(f"{path} is a pipe of another user; write elsewhere with -o")
    os.set_blocking(fd, True)
    return fd


def _rename_to_free_name(folder_fd: int, old: str, new: str) -> None:
    """Renames within a folder. Raises FileExistsError, or another OSError."""
    arguments = (folder_fd, os.fsencode(old), folder_fd, os.fsencode(new), _RENAME_NOREPLACE)
    try:
        check(_libc.renameat2(*arguments))
    except OSError as error:
        if error.errno not in _UNKNOWN_TO_FILE_SYSTEM:
            raise
        os.link(old, new, src_dir_fd=folder_fd, dst_dir_fd=folder_fd, follow_symlinks=False)
        os.unlink(old, dir_fd=folder_fd)
