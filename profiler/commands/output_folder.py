"""Opens the folder of an output, on a way that no other user has laid."""

from __future__ import annotations

import errno
import os

from profiler.errors import UsageError
from profiler.invoker import trusted_users

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


def open_folder(path: str) -> int:
    """A descriptor (O_PATH) of the folder; the working folder for an empty path. It belongs to the caller.

    Another user's link could lead root to any folder, and to a file of the same name there, so it is refused.
    (The kernel itself refuses only one that lies in a folder like /tmp.) Raises OSError and `UsageError`.
    """
    fd = os.open("/" if path.startswith("/") else ".", _FOLDER)
    left = path.split("/")[::-1]
    links = 0
    try:
        while left:
            part = left.pop() or "."
            try:
                step = os.open(part, _FOLDER, dir_fd=fd)
            except NotADirectoryError:
                target = _follow(part, fd, path)
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                left += target.split("/")[::-1]
                step = os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = step
    except BaseException:
        os.close(fd)
        raise
    return fd


def _follow(name: str, folder_fd: int, path: str) -> str:
    """What a link on the way to `path` says. Raises FileNotFoundError if it is no link, and `UsageError`."""
    fd = os.open(name, _LINK, dir_fd=folder_fd)
    try:
        owner = os.fstat(fd).st_uid
        target = os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
    if owner not in trusted_users():
        raise UsageError(
            f"on the way to {path}, {name} is a link of another user (uid {owner}): name its folder"
        )
    return target
