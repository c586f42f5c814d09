"""A target that a reader could hang on: part of a running function lies on a page that does not come.

One thread burns CPU in C, without the GIL, inside a function; meanwhile the page with that function's code
object (``--on code``) or with its name (``--on name``) is taken away and put under a userfaultfd that
nobody serves until stdin says so. The target itself does not touch the page before that.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import struct
import sys
import threading
import time
from types import FunctionType

import handshake

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


def make_function(part: str) -> tuple[FunctionType, int]:
    """A function that burns `rounds` of CPU in C, and the address of its `part` that has pages of its own."""
    padding = "        rounds = rounds + 0\n" * (BIG // 10 if part == "code" else 1)
    scope: dict[str, object] = {"pbkdf2": hashlib.pbkdf2_hmac}
    text = "def stuck_burner(rounds):\n    pbkdf2('sha256', b'p', b's', rounds)\n    if not rounds:\n"
    exec(compile(text + padding, "stuck_made.py", "exec"), scope)
    function = scope["stuck_burner"]
    assert isinstance(function, FunctionType)
    if part == "code":
        return function, id(function.__code__)
    function.__code__ = function.__code__.replace(co_qualname="stuck_burner" + "r" * BIG)
    return function, id(function.__code__.co_qualname)


def main() -> None:
    """Ready once the page is away; give it back when told; tell; exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("code", "name"), required=True)
    parser.add_argument("--rounds", type=int, default=30_000_000)
    arguments = parser.parse_args()
    function, address = make_function(arguments.on)
    burner = threading.Thread(target=function, args=(arguments.rounds,))
    burner.start()
    before_ns = time.process_time_ns()
    while time.process_time_ns() - before_ns < 200_000_000:  # it is in C by then, for many seconds
        time.sleep(0.01)
    page = AwayPage(address)
    handshake.ready()
    began_ns = handshake.process_ns()
    handshake.wait_for_go()
    burnt_ns = handshake.process_ns() - began_ns
    page.give_back()
    handshake.tell({"stuck_burner": burnt_ns}, burnt_ns, alive=burner.is_alive())
    handshake.linger()
    os._exit(0)  # the burner may have many rounds to go


if __name__ == "__main__":
    sys.exit(main())
