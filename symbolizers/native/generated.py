"""Names of code that programs generate, from what their runtimes say about it.

V8 (``--perf-basic-prof``), HotSpot, CPython (``-X perf``), YJIT (``--yjit-perf``), PHP and .NET write a map
of the process in its /tmp. It is somebody else's file: it counts only if it is a regular one of the process's
user, or root's.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

from symbolizers.errors import ProcessGone
from symbolizers.frame import GENERATED, Frame
from symbolizers.inspection import FileKey
from symbolizers.native.perf_map import PerfMap
from symbolizers.native.unnamed import mapping_frame
from symbolizers.process.files import FileUnavailable, found_in_root
from symbolizers.process.identity import ProcessId, open_process, pid_inside

_MOST_MAPS = 16
"""Kept open: 24 bytes for each line of one."""
_V8 = re.compile(
    r"(?:JS|LazyCompile|Function|Script|Eval|Module):[~*^+]*(.*?) ?(\S*|/.*|file:.*|node:.*):(\d+):\d+"
)
"""``JS:*name file:line:column``, the sign for the compiler. Names of files and functions may have blanks."""
_WITH_FILE = re.compile(r"py::(.*?):(/.*|<.*)")
"""``py::qualified name:file`` (Python/perf_trampoline.c)."""


class GeneratedCode:
    """The maps that were found. Lifetime: the worker process."""

    def __init__(self) -> None:
        self._maps: OrderedDict[FileKey, tuple[PerfMap, int]] = OrderedDict()
        """Each with its descriptor; the last one used at the end."""

    def functions(self, process: FileKey, path: str, addresses: Sequence[int]) -> list[tuple[Frame, int]]:
        """A frame for each of the `addresses`, and the address where its function starts.

        `process`: see `generated_by`; `path` as in /proc/PID/maps. What the map says nothing about has the
        frame of its mapping. Raises OSError.
        """
        unnamed = mapping_frame(path, 0)
        found = self._map_of(process)
        if found is None:
            return [(unnamed, address) for address in addresses]
        found.read_on()
        return [
            (unnamed, address) if (each := found.find(address)) is None else (readable(each.name), each.start)
            for address in addresses
        ]

    def _map_of(self, process: FileKey) -> PerfMap | None:
        if process in self._maps:
            self._maps.move_to_end(process)
        else:
            with suppress(FileUnavailable):
                fd = _open(process)
                self._maps[process] = PerfMap(fd), fd
                if len(self._maps) > _MOST_MAPS:
                    os.close(self._maps.popitem(last=False)[1][1])
        return self._maps[process][0] if process in self._maps else None


def readable(name: str) -> Frame:
    """A frame for what a runtime calls its function; what V8 and CPython say has file and line."""
    if found := _V8.fullmatch(name):
        function, file, line = found.groups()
        return Frame(GENERATED, function or "(anonymous)", file.removeprefix("file://"), int(line))
    if found := _WITH_FILE.fullmatch(name):
        return Frame(GENERATED, found[1], found[2])
    return Frame(GENERATED, name)


def _open(process: FileKey) -> int:
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
