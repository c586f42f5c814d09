"""A page of this process under a userfaultfd that nobody serves until told to."""

from __future__ import annotations

import ctypes
import os
import struct

PAGE = os.sysconf("SC_PAGE_SIZE")
MADV_DONTNEED = 4
SYS_USERFAULTFD = 323
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_COPY = 0xC028AA03
UFFD_API = 0xAA
REGISTER_MISSING = 1
BIG = 1 << 18
"""Bytes of an object that malloc gives pages of its own."""

libc = ctypes.CDLL(None, use_errno=True)


def ask(fd: int, request: int, structure: bytes) -> None:
    """An ioctl. Raises OSError."""
    buffer = ctypes.create_string_buffer(structure)
    if libc.ioctl(fd, ctypes.c_ulong(request), buffer) < 0:
        raise OSError(ctypes.get_errno(), "userfaultfd ioctl")


class AwayPage:
    """The page around `address`, taken away until `give_back`."""

    def __init__(self, address: int) -> None:
        self._start = address & -PAGE
        self._content = ctypes.create_string_buffer(ctypes.string_at(self._start, PAGE), PAGE)
        self._fd = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
        ask(self._fd, UFFDIO_API, struct.pack("<QQQ", UFFD_API, 0, 0))
        ask(self._fd, UFFDIO_REGISTER, struct.pack("<QQQQ", self._start, PAGE, REGISTER_MISSING, 0))
        if libc.madvise(ctypes.c_void_p(self._start), ctypes.c_size_t(PAGE), MADV_DONTNEED) < 0:
            raise OSError(ctypes.get_errno(), "madvise")

    def give_back(self) -> None:
        """Serves the fault that may wait, and all later ones."""
        source = ctypes.addressof(self._content)
        ask(self._fd, UFFDIO_COPY, struct.pack("<QQQQq", self._start, source, PAGE, 0, 0))
