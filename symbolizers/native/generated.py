"""Names of code that programs generate, from what their runtimes say about it.

V8 (``--perf-basic-prof``), HotSpot, CPython (``-X perf``), YJIT (``--yjit-perf``), PHP and .NET write a map
of the process in its /tmp. V8 (``--perf-prof``), CPython (``-X perf_jit``), LLVM and agents of HotSpot write
a dump, and map it so that it can be found. Both are somebody else's files: they count only if they are
regular ones of the process's user, or root's.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

from symbolizers.errors import Changed, Malformed, ProcessGone
from symbolizers.frame import GENERATED, Frame, Function
from symbolizers.inspection import FileKey, generated_by
from symbolizers.native.forks import forked
from symbolizers.native.generated_places import GeneratedFunction
from symbolizers.native.jitdump import JitDump
from symbolizers.native.perf_map import PerfMap
from symbolizers.native.unnamed import mapping_frame, module_name
from symbolizers.process.files import FileUnavailable, found_file, found_in_root
from symbolizers.process.identity import ProcessId, open_process, pid_inside, user_of
from symbolizers.process.maps import read_mappings

_MOST_OPEN = 16
"""Maps and dumps that are kept open, and what was read of them."""
_MOST_GENERATIONS = 4
_MOST_PARENTS = 1024
_DUMP = re.compile(r"jit-\d+\.dump", re.ASCII)
_V8 = re.compile(
    r"(?:JS|LazyCompile|Function|Script|Eval|Module):[~*^+]*(.*?) ?(\S*|/.*|file:.*|node:.*):(\d+):\d+"
)
"""``JS:*name file:line:column``, the sign for the compiler. Names of files and functions may have blanks."""
_WITH_FILE = re.compile(r"py::(.*?):(/.*|<.*)")
"""``py::qualified name:file`` (Python/perf_trampoline.c)."""


_Source = PerfMap | JitDump
_Find = Callable[[FileKey], "tuple[_Source, int]"]


class GeneratedCode:
    """What runtimes have written, as far as it was found. Lifetime: the worker process."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[FileKey, _Find], tuple[_Source, int]] = OrderedDict()
        """Each with its descriptor; the last one used at the end."""
        self._parents: dict[FileKey, FileKey | None] = {}

    def functions(self, process: FileKey, path: str, addresses: Sequence[int]) -> list[Function]:
        """The function at each of the `addresses`, of which no more is known than that address.

        `process`: see `generated_by`; `path` as in /proc/PID/maps. What nothing is said about has the frame
        of its mapping. Raises OSError.
        """
        sources = self._sources(process, _MOST_GENERATIONS)
        for each in sources:
            each.read_on()
        unnamed = mapping_frame(path, 0)
        found = [_find(sources, address) for address in addresses]
        return [
            Function(unnamed, address, address + 1)
            if each is None
            else Function(readable(each.name), each.start, address + 1)
            for each, address in zip(found, addresses, strict=True)
        ]

    def _sources(self, process: FileKey, generations: int) -> list[_Source]:
        """Its own come first: what a fork says itself is newer than what it was forked with."""
        own = [source for find in (_find_map, _find_dump) if (source := self._source(process, find))]
        parent = self._parent_of(process) if generations else None
        return own if parent is None else [*own, *self._sources(parent, generations - 1)]

    def _source(self, process: FileKey, find: _Find) -> _Source | None:
        known = self._open.get((process, find))
        if known is None:
            with suppress(FileUnavailable, Changed, ProcessGone, Malformed):
                known = self._open[process, find] = find(process)
        if known is None:
            return None
        self._open.move_to_end((process, find))
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1][1])
        return known[0]

    def _parent_of(self, process: FileKey) -> FileKey | None:
        if process not in self._parents:
            if len(self._parents) >= _MOST_PARENTS:
                self._parents.clear()
            pid, (start_ticks, forked_from) = process.inode, process.version
            with suppress(ProcessGone):
                parent = forked(ProcessId(pid, start_ticks), forked_from)
                self._parents[process] = generated_by(parent, user_of(parent.pid)) if parent else None
        return self._parents.get(process)


def _find(sources: Sequence[_Source], address: int) -> GeneratedFunction | None:
    return next((found for each in sources if (found := each.find(address)) is not None), None)


def readable(name: str) -> Frame:
    """A frame for what a runtime calls its function; what V8 and CPython say has file and line."""
    if found := _V8.fullmatch(name):
        function, file, line = found.groups()
        return Frame(GENERATED, function or "(anonymous)", file.removeprefix("file://"), int(line))
    if found := _WITH_FILE.fullmatch(name):
        return Frame(GENERATED, found[1], found[2])
    return Frame(GENERATED, name)


def _find_map(process: FileKey) -> tuple[PerfMap, int]:
    """The open map of a process. Raises `FileUnavailable` if there is none, `ProcessGone`, OSError."""
    fd = _open_map(process)
    return PerfMap(fd), fd


def _find_dump(process: FileKey) -> tuple[JitDump, int]:
    """The open dump that a process has mapped. Raises as `_find_map` does, `Changed` and `Malformed`."""
    with open_process(process.inode, process.version[0]) as handle:
        for mapping in read_mappings(handle, executable_only=True):
            if _DUMP.fullmatch(module_name(mapping.path)):
                with found_file(handle, mapping) as found:
                    if found.status.owner not in (0, process.owner):
                        raise FileUnavailable(f"{mapping.path!r} is not of its user")
                    fd = found.open()
                try:
                    return JitDump(fd), fd
                except BaseException:
                    os.close(fd)
                    raise
    raise FileUnavailable("no dump is mapped")


def _open_map(process: FileKey) -> int:
    """A descriptor of its map. Raises `FileUnavailable` if there is none, OSError."""
    pid, start_ticks = process.inode, process.version[0]
    try:
        with open_process(pid, start_ticks) as handle:
            path = f"/tmp/perf-{pid_inside(handle)}.map"
            with found_in_root(handle, path, owners=(0, process.owner)) as found:
                return found.open()
    except ProcessGone:
        # What a short-lived program wrote stays behind, unless its container is gone, too.
        with open_process(os.getpid()) as own:
            path = f"/tmp/perf-{pid}.map"
            with found_in_root(own, path, owners=(0, process.owner)) as found:
                if found.status.mtime_ns < _began_ns(ProcessId(pid, start_ticks)):
                    raise FileUnavailable(f"{path} is of an earlier process") from None
                return found.open()


def _began_ns(process: ProcessId) -> int:
    """When a process began, as files are stamped."""
    return time.time_ns() - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - process.start_ns())
