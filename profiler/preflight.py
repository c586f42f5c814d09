"""Checks before a recording what it needs of this machine, and says how to get what is missing."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping

from profiler.errors import PrerequisiteError

_CAPABILITIES: Mapping[str, int] = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""What a recording uses, with the bit numbers of linux/capability.h: opening files of other users'
processes, reading their memory, finding mapped files (map_files), kernel symbols, sampling, eBPF."""
_OLDEST_KERNEL = (5, 8)
"""The first with the BPF ring buffer."""


def check(arguments: list[str]) -> None:
    """Raises `PrerequisiteError` unless a recording can start; `arguments` are quoted in the advice."""
    if platform.machine() != "x86_64":
        raise PrerequisiteError(f"pidflame runs on x86_64 only so far, and this is {platform.machine()}")
    release = platform.release()
    if _version(release) < _OLDEST_KERNEL:
        raise PrerequisiteError(
            f"Linux {release} is too old: the BPF ring buffer came with 5.8; install a newer kernel"
        )
    missing = missing_capabilities()
    if missing:
        command = shlex.join([os.path.realpath(sys.argv[0]), *arguments])
        raise PrerequisiteError(
            f"missing {' '.join(missing)}: run it as root, for example\n"
            f"  sudo {command}\n"
            "or grant just these to one run:\n"
            f"  sudo setpriv --reuid=$(id -u) --regid=$(id -g) --init-groups {_grant(missing)} {command}"
        )


def missing_capabilities() -> list[str]:
    """Names of the capabilities that a recording needs and this process does not have."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _grant(names: list[str]) -> str:
    added = ",".join("+" + name.removeprefix("CAP_").lower() for name in names)
    return f"--inh-caps={added} --ambient-caps={added}"


def _version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return int(major), int(minor) if minor.isdigit() else 0
