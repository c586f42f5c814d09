"""What a recording needs of this machine, and how to get what is missing.

One list of checks for two users: a recording begins with `check`, which stops at the first that fails;
`pidflame doctor` shows them all.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from profiler.capture.bcc_package import find_bcc
from profiler.capture.btf import HEADER_BYTES, VMLINUX, read_btf
from profiler.capture.libbpf import library_version
from profiler.errors import PrerequisiteError
from profiler.privileges import recording_capabilities
from symbolizers.process.capabilities import own_sets

_OLDEST_KERNEL = (5, 10)
"""The first with the BPF ring buffer."""
_FIRST_NAMESPACES: Mapping[str, int] = {
    "cgroup": 0xEFFFFFFB,
    "pid": 0xEFFFFFFC,
    "user": 0xEFFFFFFD,
    "uts": 0xEFFFFFFE,
    "ipc": 0xEFFFFFFF,
}
"""Inode numbers of the namespaces that a machine boots with (linux/proc_ns.h: PROC_…_INIT_INO)."""
_FATAL_NAMESPACES = {"pid", "user"}
"""In another pid namespace the kernel's pids are not those of /proc; in another user namespace,
capabilities hold for what is in it only."""
_FIRST_LOOP = (5, 17)
"""The first with bpf_loop(), which the sampler then uses."""
_JIT = Path("/proc/sys/net/core/bpf_jit_enable")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_PAGEMAP = Path("/proc/self/pagemap")


class Check(Struct, frozen=True):
    """One thing that matters about this machine: what was `found`, and what is the `problem` with it.

    `problem` is empty where all is well; else it says in a sentence what is wrong and, after that, what to
    do. `name` is stable. A recording does not work unless every `required` check is ok.
    """

    name: str
    found: str
    problem: str = ""
    required: bool = True

    @property
    def ok(self) -> bool:
        """Whether there is nothing to do about it."""
        return not self.problem


def check(arguments: Sequence[str]) -> None:
    """Raises `PrerequisiteError` unless a recording can start; `arguments` are quoted in the advice."""
    for each in required_checks(arguments):
        if not each.ok:
            raise PrerequisiteError(each.problem)


def required_checks(arguments: Sequence[str]) -> Iterator[Check]:
    """The checks in the order in which they make sense; each is made when it is asked for."""
    yield _architecture()
    yield _kernel()
    yield _container()
    yield _capabilities(arguments)
    yield _lockdown()
    yield _btf()
    yield _jit()
    yield _pagemap()
    yield _bcc()
    yield _libbpf()


def missing_capabilities() -> list[str]:
    """Names of the capabilities that a recording needs and this process does not have, by their numbers."""
    effective = own_sets().effective
    return [f"CAP_{each.name}" for each in sorted(recording_capabilities()) if not effective >> each & 1]


def _architecture() -> Check:
    machine = platform.machine()
    problem = "" if machine == "x86_64" else f"pidflame runs on x86_64 only so far, and this is {machine}"
    return Check("architecture", machine, problem)


def _kernel() -> Check:
    release = platform.release()
    problem = ""
    if _version(release) < _OLDEST_KERNEL:
        problem = f"Linux {release} is too old: maps of maps of any size came with 5.10; install a newer one"
    return Check("kernel", release, problem)


def _container() -> Check:
    own = [name for name, first in _FIRST_NAMESPACES.items() if _namespace(name) != first]
    found = f"own namespaces: {', '.join(own)}" if own else "no"
    fatal = sorted(_FATAL_NAMESPACES.intersection(own))
    problem = ""
    if fatal:
        problem = (
            f"this is a container with its own {' and '.join(fatal)} namespace, which hides the rest of the"
            " machine: run pidflame outside of it, or in a container started with"
            " 'docker run --privileged --pid=host --userns=host'"
        )
    return Check("container", found, problem)


def _namespace(name: str) -> int:
    """The inode number of our namespace of this kind; the machine's first if the kernel has no others."""
    try:
        return os.stat(f"/proc/self/ns/{name}").st_ino
    except FileNotFoundError:
        return _FIRST_NAMESPACES[name]


def _capabilities(arguments: Sequence[str]) -> Check:
    missing = missing_capabilities()
    if not missing:
        return Check("capabilities", "all that are needed")
    command = shlex.join([os.path.realpath(sys.argv[0]), *arguments])
    problem = (
        f"missing {' '.join(missing)}: run it as root, for example\n"
        f"  sudo {command}\n"
        "or grant just these to one run:\n"
        f"  sudo setpriv --reuid=$(id -u) --regid=$(id -g) --init-groups {_grant(missing)} {command}"
    )
    needed = len(recording_capabilities())
    return Check("capabilities", f"{needed - len(missing)} of {needed}", problem)


def _grant(names: list[str]) -> str:
    added = ",".join("+" + name.removeprefix("CAP_").lower() for name in names)
    return f"--inh-caps={added} --ambient-caps={added}"


def _lockdown() -> Check:
    """The file lists the levels with brackets around the one in force."""
    try:
        found = _LOCKDOWN.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return Check("lockdown", "none known")
    problem = ""
    if found == "confidentiality":
        problem = (
            "kernel lockdown is at 'confidentiality', which forbids eBPF to read memory: boot with"
            " 'lockdown=integrity' or without Secure Boot"
        )
    return Check("lockdown", found, problem)


def _btf() -> Check:
    try:
        read_btf(size=HEADER_BYTES)
    except PrerequisiteError as error:
        return Check("btf", "no", str(error))
    return Check("btf", str(VMLINUX))


def _jit() -> Check:
    """Without it, a program can't both hand on to another one and give the kernel a function to call."""
    try:
        found = _JIT.read_text().strip()
    except OSError:  # a network namespace of its own does not have it
        return Check("bpf_jit", "unknown")
    problem = ""
    if found == "0" and _version(platform.release()) >= _FIRST_LOOP:
        problem = (
            "the kernel's compiler for eBPF is turned off, and the sampler needs it: 'sudo sysctl"
            " net.core.bpf_jit_enable=1' turns it on"
        )
    return Check("bpf_jit", found, problem)


def _pagemap() -> Check:
    if _PAGEMAP.exists():
        return Check("pagemap", "yes")
    return Check(
        "pagemap", "no", "this kernel has no /proc/PID/pagemap: use one with CONFIG_PROC_PAGE_MONITOR=y"
    )


def _bcc() -> Check:
    try:
        found = find_bcc()
    except PrerequisiteError as error:
        return Check("bcc", "no", str(error))
    return Check("bcc", f"{found.version} in {found.place}")


def _libbpf() -> Check:
    try:
        return Check("libbpf", library_version())
    except PrerequisiteError as error:
        return Check("libbpf", "no", str(error))


def _version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return int(major), int(minor) if minor.isdigit() else 0
