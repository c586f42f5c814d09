"""Becomes a program in another root: ``enter_root.py ROOT PROGRAM ARGUMENT…``, as container engines do it.

In a mount namespace of its own the process moves its root to ROOT (pivot_root) and lets the old one go, so
that paths in its maps name files which the host does not have (unless ROOT is ``/``). This directory's
``programs`` are under ``/mnt`` there, the machine's devices under ``/dev``. The program needs root, and
nothing in ROOT but PROGRAM.
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"
MOUNTED_AT = "/mnt"

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_MNT_DETACH = 2
_SYS_PIVOT_ROOT = 155  # x86-64

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter(root: str) -> None:
    """Makes `root` the root of this process alone."""
    _checked(_libc.unshare(_CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    place = tempfile.mkdtemp() if root == "/" else root
    _checked(_libc.mount(os.fsencode(root), os.fsencode(place), None, _MS_BIND, None))
    for source, target in ((str(PROGRAMS), MOUNTED_AT), ("/dev", "/dev")):
        mount_point = place + target
        os.makedirs(mount_point, exist_ok=True)
        _checked(_libc.mount(os.fsencode(source), os.fsencode(mount_point), None, _MS_BIND, None))
    os.chdir(place)
    _checked(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"."))
    _checked(_libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


if __name__ == "__main__":
    enter(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
