"""Which program of one recording is which of another: under another pid, or under another name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from profiler.profile.model import Profile

_NUMBERED = re.compile(rb"([a-z_]+)/u?[0-9].*", re.DOTALL)
"""What the kernel calls its threads: ``kworker/u8:2-events``, ``ksoftirqd/0``."""

_Started = tuple[str, tuple[str, ...]]
"""An executable and a command line."""


class Program(NamedTuple):
    """The processes of one name in each of two recordings; the names are equal but for a renamed program."""

    before: bytes
    after: bytes


def matched(before: Profile, after: Profile) -> tuple[Mapping[bytes, Program], Mapping[bytes, Program]]:
    """The program of each comm in the first recording, and of each in the second.

    Processes of one name are one program. A name in only one of the recordings is that of a renamed program
    if exactly one other name, in only the other recording, has a process of the same executable and command
    line. The numbers of the kernel's threads don't count.
    """
    comms = _comms(before), _comms(after)
    names = {_name(comm) for comm in comms[0]}, {_name(comm) for comm in comms[1]}
    renamed = _renamed(_started(before, names[0] - names[1]), _started(after, names[1] - names[0]))
    old_names = {new: old for old, new in renamed.items()}
    return (
        {comm: Program(name, renamed.get(name, name)) for comm, name in _named(comms[0])},
        {comm: Program(old_names.get(name, name), name) for comm, name in _named(comms[1])},
    )


def _comms(profile: Profile) -> set[bytes]:
    roots = [sample.root for sample in profile.samples]
    return {root.comm for root in (*roots, *(row.root for row in profile.losses.per_process))}


def _named(comms: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    return [(comm, _name(comm)) for comm in comms]


def _name(comm: bytes) -> bytes:
    match = _NUMBERED.fullmatch(comm)
    return match[1] if match else comm


def _started(profile: Profile, names: set[bytes]) -> dict[bytes, set[_Started]]:
    """How the processes of these names were started, as far as that is known."""
    started: dict[bytes, set[_Started]] = defaultdict(set)
    for sample in profile.samples:
        process, name = sample.process, _name(sample.root.comm)
        if name in names and process is not None and process.executable:
            started[name].add((process.executable, process.command))
    return started


def _renamed(old: Mapping[bytes, set[_Started]], new: Mapping[bytes, set[_Started]]) -> dict[bytes, bytes]:
    """The new name of each old one, where there is no other choice on either side."""
    news = {name: [other for other in new if new[other] & old[name]] for name in old}
    olds = {name: [other for other in old if old[other] & new[name]] for name in new}
    return {name: found[0] for name, found in news.items() if len(found) == 1 and olds[found[0]] == [name]}
