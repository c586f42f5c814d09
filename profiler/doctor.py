"""What this machine offers to a recording, and which running interpreters a recording would name.

The checks that a recording begins with come first (`profiler.preflight`). Those here only add information,
except for the last: it loads the sampler as for a recording, the only sure sign that the kernel takes it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import psutil
from msgspec import Struct

from profiler.capture import cache
from profiler.capture.cache import CacheRefused
from profiler.capture.kernel_source import KernelSource
from profiler.capture.sampler import is_kept
from profiler.capture.source import Sampling
from profiler.debug_packages import debug_packages, how_to_install, is_installed
from profiler.errors import PrerequisiteError
from profiler.preflight import Check, required_checks
from symbolizers.asker import Asker, Workers
from symbolizers.errors import ProcessGone, Reason
from symbolizers.inspection import Inspection
from symbolizers.process.identity import command_name_of
from symbolizers.process.memory import available_strategies, probe
from symbolizers.process.prefetch import swap_kind
from symbolizers.process.sandbox import Part
from symbolizers.questions import Failed, Inspect, Inspected, ReadSandbox, Sandboxed

_LOOK_AT_ALL_S = 30.0
"""How long looking at all processes may take; each has the worker's deadline besides."""
_PAGEMAP_SCAN = 0xC0606610
"""The ioctl: _IOWR('f', 16, struct pm_scan_arg), linux/fs.h from Linux 6.7 on."""
_PAGE_IS_PRESENT = 1 << 3
_LIBC = "/libc.so.6"
_SYSCTL = Path("/proc/sys/kernel")


class RunningInterpreter(Struct, frozen=True):
    """One version of an interpreter that runs now, in `processes` (pid and command name, by pid).

    `supported_versions` is empty if this version is supported.
    """

    language: str
    version: str
    supported_versions: str
    processes: tuple[tuple[int, str], ...]

    @property
    def supported(self) -> bool:
        """Whether its functions would have names in a recording."""
        return not self.supported_versions


class Report(Struct, frozen=True):
    """All that `examine` found. `not_looked_at` counts processes by the reason (a `Reason`'s value)."""

    checks: tuple[Check, ...]
    interpreters: tuple[RunningInterpreter, ...]
    not_looked_at: Mapping[str, int]

    @property
    def works(self) -> bool:
        """Whether a recording would work."""
        return all(check.ok for check in self.checks if check.required)


def examine(arguments: Sequence[str]) -> Report:
    """Looks at the machine and at every process. `arguments` are those of the recording in the advice."""
    inspections, not_looked_at, sandbox = _inspect_all()
    checks = [*required_checks(arguments), *_further_checks(), _symbols(inspections), sandbox]
    if all(check.ok for check in checks if check.required):
        checks.append(_sampler(inspections))
    return Report(tuple(checks), _interpreters(inspections), not_looked_at)


def _further_checks() -> Iterator[Check]:
    support = probe()
    yield _kernel_names()
    yield _compiled_sampler()
    yield Check("perf_event_paranoid", _setting("perf_event_paranoid"), required=False)
    yield Check("process_vm_pidfd", _yes(support.pidfd), required=False)
    yield Check("process_vm_nowait", _yes(support.nowait), required=False)
    yield Check("read_strategy", available_strategies()[0].value, required=False)
    yield Check("pagemap_scan", _yes(_knows_pagemap_scan()), required=False)
    yield Check("swap", swap_kind().value, required=False)


def _yes(there: bool) -> str:
    return "yes" if there else "no"


def _setting(name: str) -> str:
    try:
        return (_SYSCTL / name).read_text().strip()
    except OSError as error:
        return f"unknown ({error.strerror})"


def _kernel_names() -> Check:
    """At 1, CAP_SYSLOG, which a recording needs anyway, shows the addresses; at 2, nothing does."""
    found = _setting("kptr_restrict")
    problem = ""
    if found == "2":
        problem = "kernel functions will have no names: 'sudo sysctl kernel.kptr_restrict=1' shows them"
    return Check("kptr_restrict", found, problem, required=False)


def _compiled_sampler() -> Check:
    """Whether a recording starts without the compiler."""
    place, problem = cache.folder(), ""
    try:
        found = f"kept in {place}" if is_kept() else f"not kept in {place} yet"
    except (CacheRefused, PrerequisiteError) as error:
        found, problem = "no", f"each recording compiles the sampler, which takes a second: {error}"
    return Check("compiled_sampler", found, problem, required=False)


def _knows_pagemap_scan() -> bool:
    """Asks for one page of our own; a kernel without the request answers ENOTTY."""
    page = ctypes.create_string_buffer(1)
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    start = ctypes.addressof(page) & -page_bytes
    regions = ctypes.create_string_buffer(24)
    scan = struct.pack(
        "=12Q",
        *(96, 0, start, start + page_bytes, 0, ctypes.addressof(regions), 1, 0),
        *(0, _PAGE_IS_PRESENT, 0, _PAGE_IS_PRESENT),
    )
    try:
        with open("/proc/self/pagemap", "rb") as pagemap:
            fcntl.ioctl(pagemap, _PAGEMAP_SCAN, scan)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.ENOENT, errno.EACCES):
            return False
        raise
    return True


def _symbols(inspections: Sequence[Inspection]) -> Check:
    """Whether the debug packages are there of the interpreters that run, and of the C library."""
    files: dict[str, int] = {}
    for inspection in inspections:
        loops = [interpreter.loop[0] for interpreter in inspection.interpreters]
        for mapping in inspection.mappings:
            is_libc = mapping.path.endswith(_LIBC)
            if mapping.file is not None and (
                is_libc or any(mapping.start <= at < mapping.end for at in loops)
            ):
                files[mapping.path] = mapping.file.inode
    packages = sorted({*debug_packages(files).values()})
    missing = [package for package in packages if not is_installed(package)]
    found = ", ".join(package for package in packages if package not in missing) or "none"
    problem = f"native functions of what runs now would have more names: {how_to_install(missing)}"
    return Check("debug_packages", found, problem if missing else "", required=False)


def _sampler(inspections: Sequence[Inspection]) -> Check:
    """Samples this process for a moment, with the walker of every language that runs."""
    source = KernelSource(Sampling(20, (os.getpid(),)))
    walked = {each.language: found for found in inspections for each in found.interpreters}
    with closing(source):
        try:
            source.load()
            source.start()
            source.complete()
            for inspection in walked.values():
                process = inspection.process
                source.configure(process.pid, process.start_ns(), inspection.interpreters, user=os.getuid())
            source.stop()
        except PrerequisiteError as error:
            return Check("sampler", "refused", str(error))
        if source.notes():
            return Check("sampler", "refused in part", "; ".join(source.notes()), required=False)
    languages = ", ".join(sorted(walked))
    walkers = f", with walkers for {languages}" if languages else " (no supported interpreter runs now)"
    return Check("sampler", f"loads{walkers}")


def _inspect_all() -> tuple[list[Inspection], Mapping[str, int], Check]:
    """Every process but this one, as a recording looks at it: by the worker with the deadline."""
    pids = [pid for pid in psutil.pids() if pid != os.getpid()]
    inspections: list[Inspection] = []
    failures: Counter[str] = Counter()
    waiting = set(pids)
    sandbox = Check("sandbox", "unknown", "the worker did not say", required=False)

    def ask_about(asker: Asker, pid: int) -> None:
        def looked(answer: Inspected | Failed) -> None:
            waiting.discard(pid)
            if isinstance(answer, Inspected):
                inspections.append(answer.inspection)
            elif answer.reason is not Reason.EXITED:
                failures[answer.reason.value] += 1

        asker.ask(Inspect(pid), looked)

    def told(answer: Sandboxed | Failed) -> None:
        nonlocal sandbox
        if isinstance(answer, Sandboxed):
            sandbox = _sandbox(answer.parts)

    with closing(Asker(Workers())) as asker:
        asker.ask(ReadSandbox(), told, soon=True)
        for pid in pids:
            ask_about(asker, pid)
        asker.wait_for_all(_LOOK_AT_ALL_S)
    if waiting:
        failures["no time left"] += len(waiting)
    return inspections, failures, sandbox


def _sandbox(parts: Sequence[Part]) -> Check:
    """What holds in the worker, which reads what targets wrote; a recording works without, too."""
    missing = [f"{part.name} ({part.problem})" for part in parts if part.problem]
    found = ", ".join(part.name for part in parts if not part.problem) or "none"
    problem = (
        f"the worker that reads other processes keeps rights that it should not have: {', '.join(missing)};"
        " run it as root, outside of a container"
    )
    return Check("sandbox", found, problem if missing else "", required=False)


def _interpreters(inspections: Sequence[Inspection]) -> tuple[RunningInterpreter, ...]:
    """Interpreters by language and version; a process that has ended since still counts, without a name."""
    found: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    for inspection in inspections:
        pid = inspection.process.pid
        keys = [(each.language, each.version, "") for each in inspection.interpreters]
        keys += [(each.language.lower(), each.version, each.supported) for each in inspection.unsupported]
        if keys:
            process = (pid, _name_of(pid))
            for key in keys:
                found[key].append(process)
    return tuple(RunningInterpreter(*key, tuple(sorted(found[key]))) for key in sorted(found))


def _name_of(pid: int) -> str:
    try:
        return command_name_of(pid)
    except ProcessGone:
        return ""
