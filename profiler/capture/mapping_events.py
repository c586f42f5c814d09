"""Where programs map code, and whose forks they are, told as it happens: perf's side-band records.

/proc/PID/maps says the same of a program that still lives when it is read. These records know no deadline:
the mappings of a program are here when it is long over. They begin with an exec: of what ran before there is
nothing, and nothing says when something is unmapped. They are looked at whenever samples and execs are, and
wake somebody only where a buffer is half full.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

from profiler.capture.perf_ring import PerfRing
from profiler.capture.records import CodeMapped, Forked, MappingRecord, MappingsLost
from symbolizers.bounded import keep
from symbolizers.inspection import VDSO, CodeMapping, FileKey
from symbolizers.native.unnamed import VDSO_PATH

# linux/perf_event.h
_SOFTWARE, _DUMMY = 1, 9
_SAMPLE_TIME = 1 << 2
_FLAGS = sum(1 << bit for bit in (8, 9, 13, 14, 18, 23, 24, 25))
"""mmap, comm, task, watermark, sample_id_all, mmap2, comm_exec, use_clockid."""
_ATTRIBUTES_BYTES = 112
_BUFFER_PAGES = 16
"""Of each CPU: some 600 records between two looks. More are lost, and are counted."""
_ATTRIBUTES = struct.pack(
    "=IIQQQQQI4xQQQQIi16x",
    *(_SOFTWARE, _ATTRIBUTES_BYTES, _DUMMY, 0, _SAMPLE_TIME, 0, _FLAGS),
    *(_BUFFER_PAGES * mmap.PAGESIZE // 2, 0, 0, 0, 0, 0, time.CLOCK_MONOTONIC),
)
"""An event that counts nothing, and tells of mappings, forks and execs."""
_LOST, _COMM, _FORK, _MMAP2 = 2, 3, 7, 10
_IN_EXEC = 1 << 13
_PROCESS = struct.Struct("=II")
_MAPPED = struct.Struct("=QQQIIQQII")
_WORD = struct.Struct("=Q")
_MOST_PROCESSES = 4096
"""Processes whose exec was seen; those of the others are of no use."""


class MappingEvents:
    """The side-band records of all CPUs. Lifetime: one recording."""

    def __init__(self, cpus: Sequence[int], pages: int = _BUFFER_PAGES) -> None:
        """Begins to listen on these `cpus`, with room for so many `pages` of records of each.

        Raises OSError where the kernel does not allow it.
        """
        self._rings: list[PerfRing] = []
        self._began: OrderedDict[int, None] = OrderedDict()
        try:
            for cpu in cpus:
                self._rings.append(PerfRing(_ATTRIBUTES, cpu, pages))
        except OSError:
            self.close()
            raise

    def fds(self) -> list[int]:
        """Descriptors that become readable where a buffer fills up."""
        return [ring.fd for ring in self._rings]

    def drain(self) -> list[MappingRecord]:
        """What has come since the last time, by time; returns at once."""
        told = chain.from_iterable(self._told(ring) for ring in self._rings)
        return sorted(told, key=attrgetter("time_ns"))

    def close(self) -> None:
        """Gives every resource back; safe to call twice."""
        for ring in self._rings:
            ring.close()
        self._rings.clear()

    def _told(self, ring: PerfRing) -> Iterator[MappingRecord]:
        for kind, misc, body in ring.drain():
            (time_ns,) = _WORD.unpack_from(body, len(body) - _WORD.size)
            if kind == _LOST:
                self._began.clear()
                yield MappingsLost(time_ns)
                continue
            pid, other = _PROCESS.unpack_from(body)
            if kind == _FORK and pid != other:
                yield Forked(pid, time_ns, other)
            elif kind == _COMM and misc & _IN_EXEC:
                keep(self._began, pid, None, most=_MOST_PROCESSES)
                yield CodeMapped(pid, time_ns, None)
            elif kind == _MMAP2 and pid in self._began:
                yield CodeMapped(pid, time_ns, _mapping(body))


def _mapping(body: bytes) -> CodeMapping:
    start, size, offset, major, minor, inode, generation, _, _ = _MAPPED.unpack_from(body, _PROCESS.size)
    path = body[_PROCESS.size + _MAPPED.size : -_WORD.size].partition(b"\0")[0]
    if path == os.fsencode(VDSO_PATH):  # addresses in it count from its start
        return CodeMapping(start, start + size, 0, VDSO, VDSO_PATH)
    file = FileKey((major, minor), inode, (generation & 0xFFFFFFFF,)) if inode else None
    # What /proc/PID/maps gives no name is called "//anon" here.
    name = "" if path == b"//anon" else os.fsdecode(path)
    return CodeMapping(start, start + size, offset, file, name)
