"""What a recording is allowed to do: what it needs, what is left once it samples, what its command gets."""

from __future__ import annotations

import os
from contextlib import suppress

from symbolizers.process.capabilities import (
    Capability,
    empty_bounding_set,
    gain_nothing_by_exec,
    keep_only,
    own_sets,
    reading_capabilities,
)
from symbolizers.process.sandbox import enter_empty_network
from symbolizers.process.seccomp import install, refuse_requests

_LATER = frozenset((Capability.BPF, Capability.PERFMON, Capability.SYSLOG))
"""A walker is loaded when its language is first seen, and kernel symbols are read at the end."""
_IF_WE_HAVE_THEM = frozenset((Capability.KILL, Capability.SYS_NICE))
"""To pass signals on, and to raise the priority of a worker's session."""
_ROOTS_FILES = frozenset((Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.FOWNER))
"""Root puts the output files into a user's folder."""
_TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI, which types on a terminal, and TIOCLINUX, which pastes on a console (asm-generic/ioctls.h)."""


def recording_capabilities() -> frozenset[Capability]:
    """What a recording needs: to read memory and files of all users, to sample, to name kernel functions."""
    return reading_capabilities() | _LATER


def may_load() -> bool:
    """Whether this process may load a sampler: otherwise nothing should be compiled for it."""
    effective = own_sets().effective
    return all(effective >> each & 1 for each in (Capability.BPF, Capability.PERFMON))


def leave_network() -> None:
    """Moves this process, and all workers that it starts, into an empty network namespace where it may.

    To be called before it samples, since on a busy machine the kernel can take its time for this. Where the
    kernel refuses it, `pidflame doctor` says so.
    """
    with suppress(OSError):
        enter_empty_network()


def drop_what_loading_took() -> None:
    """Leaves this process what it needs while it samples, and the workers that it starts what they need.

    To be called by the only thread, when the command to record, if any, has been forked.
    """
    later = recording_capabilities() | _ROOTS_FILES | _IF_WE_HAVE_THEM
    reading = reading_capabilities()
    keep_only(later | {Capability.SETPCAP}, inheritable=reading)
    with suppress(PermissionError):  # a user who is not root gains nothing by an exec anyway
        empty_bounding_set()
    keep_only(later, inheritable=reading)
    gain_nothing_by_exec()


def protect_terminal() -> None:
    """Lets this process, and all that it starts, type nothing into its terminal that root's shell would read.

    Where root lacks CAP_SYS_ADMIN, nothing that it starts gains rights by an exec either. Raises OSError.
    """
    if not own_sets().effective >> Capability.SYS_ADMIN & 1:
        gain_nothing_by_exec()
    install(refuse_requests(_TERMINAL_INPUT))


def give_up_capabilities() -> None:
    """Leaves a process that is not root's without capabilities, however it came by them."""
    if os.geteuid() != 0:
        keep_only(())
