"""What root's power is made of, and how a process gives parts of it up: capabilities(7), prctl(2)."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Collection
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from symbolizers.process.syscalls import check

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: two words of 32 capabilities for each set."""
_HEADER = struct.Struct("=Ii")
_SETS = struct.Struct("=6I")

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """The capabilities that something here uses, by their numbers in linux/capability.h."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    KILL = 5
    SETPCAP = 8
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    SYS_NICE = 23
    SYSLOG = 34
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40


class Sets(NamedTuple):
    """The capability sets of a thread, each as bits."""

    effective: int
    permitted: int
    inheritable: int


@cache
def map_files_capability() -> Capability:
    """The capability to open /proc/PID/map_files with: CAP_SYS_ADMIN where we have that alone.

    Linux before 5.9 knows no other. Found once, before any is given up.
    """
    known = _libc.prctl(_PR_CAPBSET_READ, int(Capability.CHECKPOINT_RESTORE), 0, 0, 0) >= 0
    both = bits_of((Capability.CHECKPOINT_RESTORE, Capability.SYS_ADMIN))
    only_admin = own_sets().permitted & both == bits_of((Capability.SYS_ADMIN,))
    return Capability.CHECKPOINT_RESTORE if known and not only_admin else Capability.SYS_ADMIN


def reading_capabilities() -> frozenset[Capability]:
    """What the worker needs: it reads memory (SYS_PTRACE) and files of all users, and finds mapped files."""
    return frozenset((Capability.SYS_PTRACE, Capability.DAC_READ_SEARCH, map_files_capability()))


def bits_of(capabilities: Collection[Capability]) -> int:
    """The set as the kernel's bits."""
    return sum(1 << each for each in capabilities)


def own_sets() -> Sets:
    """The capability sets of this thread."""
    buffer = ctypes.create_string_buffer(_SETS.size)
    check(_libc.capget(_HEADER.pack(_VERSION, 0), buffer))
    words = _SETS.unpack(buffer)
    return Sets(*(low | high << 32 for low, high in zip(words[:3], words[3:], strict=True)))


def keep_only(kept: Collection[Capability], *, inheritable: Collection[Capability] = ()) -> None:
    """Gives up, for good, all capabilities of this thread but those of `kept` that it has.

    Of `inheritable`, those that remain can survive an exec. The ambient set shrinks with it (it never holds
    more). Raises OSError.
    """
    permitted = own_sets().permitted & bits_of(kept)
    sets = Sets(permitted, permitted, permitted & bits_of(inheritable))
    halves = [each >> shift & 0xFFFFFFFF for shift in (0, 32) for each in sets]
    check(_libc.capset(_HEADER.pack(_VERSION, 0), _SETS.pack(*halves)))


def empty_bounding_set() -> None:
    """From now on an exec gives this process no capability that is not inheritable.

    Raises PermissionError without CAP_SETPCAP.
    """
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if ctypes.get_errno() != errno.EINVAL:  # which comes after the last capability
        check(-1)


def gain_nothing_by_exec() -> None:
    """Sets no_new_privs, for good: programs that this process runs get no more rights than it has."""
    check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def leave_no_core() -> None:
    """Keeps this process's memory out of core dumps, also those that a pipe takes."""
    check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
