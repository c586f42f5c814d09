"""What to tell people about functions without names, and how to get these."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from profiler.debug_packages import debug_packages, how_to_install, is_installed
from profiler.run.aggregate import CountedStack
from profiler.run.stacks import Element, NativeAddress
from symbolizers.frame import GENERATED, Frame
from symbolizers.native.unnamed import module_name

_RUNTIMES = (
    (re.compile(r"node|libnode\.so.*"), "node", "run node with --perf-basic-prof"),
    (
        re.compile(r"libjvm\.so"),
        "java",
        "'jcmd PID Compiler.perfmap' writes them (JDK 17 and later)",
    ),
    (re.compile(r"libcoreclr\.so"), "dotnet", "run dotnet with DOTNET_PerfMapEnabled=1"),
    (re.compile(r"beam\.smp"), "erl", "run erl with +JPperf true"),
)
"""A file that the runtime maps, what people call it, and how it tells the names of its functions."""
_UNKNOWN = "a runtime", "a runtime that writes /tmp/perf-PID.map gives them"
_MOST_SHOWN = 3
_LEAST, _LEAST_SHARE = 20, 0.05
"""Fewer samples are not worth a note."""


def notes_on(stacks: Iterable[CountedStack], names: Mapping[Element, Frame]) -> list[str]:
    """A note on stripped files, and one on each runtime, of which `stacks` show code without a name."""
    stacks = tuple(stacks)
    return [*_on_stripped_files(stacks, names), *_on_generated_code(stacks, names)]


def _on_stripped_files(stacks: Sequence[CountedStack], names: Mapping[Element, Frame]) -> list[str]:
    nameless: Counter[tuple[str, int]] = Counter()
    for stack in stacks:
        leaf = stack.elements[-1] if stack.elements else None
        if isinstance(leaf, NativeAddress) and not leaf.file.is_generated and not names[leaf].file:
            nameless[leaf.path, leaf.file.inode] += stack.samples
    count = nameless.total()
    if count < max(_LEAST, _LEAST_SHARE * sum(stack.samples for stack in stacks)):
        return []
    shown = dict(file for file, _ in nameless.most_common(_MOST_SHOWN))
    modules = ", ".join(dict.fromkeys(map(module_name, shown)))
    return [
        f"{count:,} samples are in functions without names, since files are stripped of them: {modules};"
        f" {_how_to_name(shown)}"
    ]


def _how_to_name(files: Mapping[str, int]) -> str:
    """How these files (path to inode) get names, or those of them that a package is known for."""
    packages = debug_packages(files)
    missing = [package for package in packages.values() if not is_installed(package)]
    if not missing:
        return (
            "their debug packages (-dbgsym, -debuginfo) bring the names,"
            " or --debuginfod with DEBUGINFOD_URLS, their distribution's server"
        )
    others = (
        "" if len(packages) == len(files) else "; --debuginfod with DEBUGINFOD_URLS brings those of others"
    )
    return f"{how_to_install(missing)} brings the names{others}"


def _on_generated_code(stacks: Sequence[CountedStack], names: Mapping[Element, Frame]) -> list[str]:
    lacking: Counter[int] = Counter()
    for stack in stacks:
        addresses = (each for each in stack.elements if isinstance(each, NativeAddress))
        if any(each.file.is_generated and names[each].kind != GENERATED for each in addresses):
            lacking[stack.pid] += stack.samples
    runtimes: dict[int, tuple[str, str]] = {}
    for stack in stacks:
        if stack.pid in lacking and stack.pid not in runtimes:
            runtime = _runtime_of(each for each in stack.elements if isinstance(each, NativeAddress))
            if runtime is not None:
                runtimes[stack.pid] = runtime
    samples: Counter[tuple[str, str]] = Counter()
    processes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pid, count in lacking.most_common():
        runtime = runtimes.get(pid, _UNKNOWN)
        samples[runtime] += count
        processes[runtime].append(str(pid))
    return [
        f"{count} samples are in code that {name} has generated, without names (process"
        f" {', '.join(processes[name, how][:_MOST_SHOWN])}): {how}"
        for (name, how), count in samples.most_common()
        if count >= _LEAST
    ]


def _runtime_of(addresses: Iterable[NativeAddress]) -> tuple[str, str] | None:
    for each in addresses:
        for module, name, how in _RUNTIMES:
            if module.fullmatch(module_name(each.path)):
                return name, how
    return None
