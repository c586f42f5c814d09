"""Spares BCC from reading the kernel's symbols, which it does at every start for a name not needed here.

libbcc 0.26 looks "bpf_probe_read_kernel" up in /proc/kallsyms before it compiles anything
(BFrontendAction::DoMiscWorkAround): with 200,000 symbols that is a quarter of the time that it takes to
load. It looks only if its effective user is root (bcc_procutils_each_ksym), since the addresses are hidden
from others; else it goes on without them. libbcc 0.31 looks whoever its user is: there this changes nothing.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
"""A change of user leaves the capabilities alone (capabilities(7))."""
_SYS_SETRESUID = 117
"""The number on x86-64. It is needed because the C library's function changes the user of all threads."""
_NOBODY = 65534
_UNCHANGED = ctypes.c_long(-1)

_libc = ctypes.CDLL(None)


@contextmanager
def without_kallsyms() -> Iterator[None]:
    """Inside, this thread's effective user is nobody, with the capabilities that it had.

    Nothing happens where the kernel does not allow it, or to a user that is not root.
    """
    bits: int = _libc.prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0)
    if os.geteuid() != 0 or bits < 0 or not _set_secure_bits(bits | _SECBIT_NO_SETUID_FIXUP):
        yield
        return
    try:
        changed = _set_effective_user(_NOBODY)
        try:
            yield
        finally:
            if changed:
                _set_effective_user(0)
    finally:
        _set_secure_bits(bits)


def _set_secure_bits(bits: int) -> bool:
    done: bool = _libc.prctl(_PR_SET_SECUREBITS, bits, 0, 0, 0) == 0
    return done


def _set_effective_user(uid: int) -> bool:
    done: bool = _libc.syscall(_SYS_SETRESUID, _UNCHANGED, ctypes.c_long(uid), _UNCHANGED) == 0
    return done
