"""How the worker calls openat2(2), in memory that nothing can change any more.

What openat2 does lies behind a pointer, where a seccomp filter can't look. So there is one struct open_how,
on a read-only page, and the filter in `sandbox.py` lets no other pointer pass. The page lies below all other
memory of the process: a filter that refuses to unmap or move what begins below `END` keeps it as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache

from symbolizers.process.syscalls import OPEN_HOW, check

FIND = os.O_PATH | os.O_CLOEXEC
"""Finds a file without opening it."""
ADDRESS = 1 << 20
"""Above vm.mmap_min_addr as distributions set it; programs are not linked to run below 4 MiB."""
END = ADDRESS + mmap.PAGESIZE

_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
"""No symbolic link leads out of the folder."""
_RESOLVE_CACHED = 0x20
"""Asks no file system, but fails with EAGAIN."""
_MAP_FIXED_NOREPLACE = 0x100000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
_libc.mmap.restype = ctypes.c_void_p
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@cache
def find_in_root_how() -> int:
    """The address of the struct open_how that finds a file as if the folder were the root. Raises OSError."""
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED_NOREPLACE
    check(0 if _libc.mmap(ADDRESS, mmap.PAGESIZE, writable, flags, -1, 0) == ADDRESS else -1)
    resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS | _RESOLVE_CACHED
    ctypes.memmove(ADDRESS, OPEN_HOW.pack(FIND, 0, resolve), OPEN_HOW.size)
    check(_libc.mprotect(ADDRESS, mmap.PAGESIZE, mmap.PROT_READ))
    return ADDRESS
