"""Samples with a copy of the stack: our walk, and perf's record of the same interrupt.

The perf event runs our sampler, whose last program (keep.c) lets the event through. So perf writes its own
record while the thread is still interrupted: the registers, and the stack from the stack pointer on.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from profiler.capture.clock import online_cpus
from profiler.capture.compiled import CompiledSampler, decode_sampler
from profiler.capture.header import read_header
from profiler.capture.kernel_objects import KernelObjects, number
from profiler.capture.libbpf import PERF_EVENT, RAW_TRACEPOINT
from profiler.capture.mapping_events import MappingEvents
from profiler.capture.perf_ring import PerfRing
from profiler.capture.records import RawSample
from profiler.capture.ring import RingBuffer
from profiler.capture.unwind_tables import UnwindTables
from profiler.capture.wire import decode
from symbolizers.errors import Malformed, ProcessGone
from symbolizers.files import OpenFiles
from symbolizers.inspection import CodeMapping, FileKey
from symbolizers.registry import LANGUAGES
from tests.oracle.mapped import Mapped

# linux/perf_event.h and asm/perf_regs.h
_SOFTWARE, _CPU_CLOCK = 1, 0
_TID_TIME_REGISTERS_STACK = 1 << 1 | 1 << 2 | 1 << 12 | 1 << 13
_DISABLED_OWN_CLOCK = 1 << 0 | 1 << 25
_ENABLE, _SET_PROGRAM = 0x2400, 0x40042408
_SAMPLE = 9
_DWARF_ORDER = (0, 3, 2, 1, 4, 5, 6, 7, *range(16, 24), 8)
"""By DWARF's numbers (rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, and the program counter) perf's."""
_PROGRAM_COUNTER = 16
_HEAD = struct.Struct("=IIQQ17QQ")
_WORD = struct.Struct("=Q")
_STACK_BYTES = 48 << 10
"""Of the stack, in each record, which can have 64 kB."""
RED_ZONE_BYTES = 128
"""Of a leaf function, below the stack pointer."""
_PERF_PAGES, _RING_PAGES, _MAPPING_PAGES = 16384, 4096, 1024
_STAGES = {"on_record": 0, "on_keep": 2, "on_unwind": 3}
"""The programs behind the walkers in the map `stages`; on_keep() stands where on_count() does."""
_TRACEPOINTS = {
    "sched_process_fork": "on_fork",
    "sched_process_exec": "on_exec",
    "sched_process_exit": "on_exit",
}
_LOOK_S = 0.02
_APART_NS = 1_000_000
"""So far apart the two times of one interrupt are at most: a virtual machine may have to wait in between."""
_STARTED = ("sh", "-c", 'read go; exec "$@"', "sh")
"""Runs a command once it is told to."""


class Taken(NamedTuple):
    """One interrupt."""

    sample: RawSample
    """With our walk."""
    registers: tuple[int, ...]
    """Of user code, in the order of DWARF's numbers: 16 and the program counter."""
    stack: bytes
    """What lies from `RED_ZONE_BYTES` below the stack pointer on."""
    mappings: tuple[CodeMapping, ...]
    """What code the process had mapped."""


class Copy(NamedTuple):
    """What perf says of an interrupt."""

    tid: int
    time_ns: int
    registers: tuple[int, ...]
    stack: bytes


def compiled(folder: Path) -> CompiledSampler:
    """The sampler with keep.c behind it."""
    into = folder / "sampler"
    subprocess.run([sys.executable, "-m", "tests.oracle.compiler", str(into)], check=True)
    return decode_sampler(into.read_bytes())


class Taker:
    """Takes samples of programs. Their unwind tables are made anew, and serve all of them."""

    def __init__(self, sampler: CompiledSampler, hz: int) -> None:
        """Samples at `hz` on each CPU. Raises OSError."""
        self._objects = KernelObjects(sampler.maps, _RING_PAGES)
        maps = self._objects.maps
        settings = read_header("records.h").structs["settings"]
        self._set = settings.pack(dict.fromkeys(settings.fields, 0) | {"only_targets": 1})
        maps["settings"][number(0)] = self._set
        self._ring = RingBuffer(maps["records"].fd, self._objects.ring_bytes)
        program = self._objects.load(PERF_EVENT, "on_sample", sampler.programs["on_sample"])
        for name, stage in _STAGES.items():
            loaded = self._objects.load(PERF_EVENT, name, sampler.programs[name])
            maps["stages"][number(len(LANGUAGES) + stage)] = number(loaded)
        for tracepoint, name in _TRACEPOINTS.items():
            loaded = self._objects.load(RAW_TRACEPOINT, name, sampler.programs[name])
            self._objects.attach_raw_tracepoint(tracepoint, loaded)
        self.refused: list[OSError] = []
        shape = maps["chunks"].shape
        self._tables = UnwindTables(maps["unwind_tables"], maps["tables"], shape, self.refused.append)
        self._files = OpenFiles(())
        self._known: set[FileKey] = set()
        cpus = tuple(online_cpus())
        self._mapped = Mapped(MappingEvents(cpus, _MAPPING_PAGES))
        self._rings = {cpu: PerfRing(_attributes(hz), cpu, _PERF_PAGES) for cpu in cpus}
        self._ours: dict[int, deque[tuple[RawSample, bytes]]] = {cpu: deque() for cpu in cpus}
        self._copies: dict[int, deque[Copy]] = {cpu: deque() for cpu in cpus}
        for ring in self._rings.values():
            fcntl.ioctl(ring.fd, _SET_PROGRAM, program)
            fcntl.ioctl(ring.fd, _ENABLE, 0)

    def take(self, command: Sequence[str], folder: Path, most_s: float) -> Iterator[Taken]:
        """Those of the command, which runs in `folder`, and of what it starts; ended after `most_s`."""
        end_s = time.monotonic() + most_s
        self._mapped.look()
        with subprocess.Popen(
            (*_STARTED, *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        ) as process:
            self._objects.maps["targets"][number(process.pid)] = number(1)
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
            while process.poll() is None:
                if time.monotonic() > end_s:
                    os.killpg(process.pid, signal.SIGKILL)
                time.sleep(_LOOK_S)
                yield from self._look()
            yield from self._look()
            self._objects.maps["targets"].discard(number(process.pid))

    def close(self) -> None:
        """Gives every resource back."""
        for ring in self._rings.values():
            ring.close()
        self._mapped.close()
        self._tables.close()
        self._ring.close()
        self._objects.close()

    def _look(self) -> list[Taken]:
        """What has come since the last time."""
        for cpu, ring in self._rings.items():
            self._copies[cpu].extend(_copies(ring))
        for record in self._ring.drain():
            decoded = decode(record)
            if isinstance(decoded, RawSample):
                self._ours[decoded.cpu].append((decoded, record[-RED_ZONE_BYTES:]))
        pairs = [pair for cpu in self._rings for pair in self._paired(cpu)]
        self._mapped.look()
        found = []
        for sample, below, copy in sorted(pairs, key=lambda pair: pair[0].time_ns):
            mappings = self._mapped.at(sample.process.pid, sample.time_ns)
            if sample.lacks_table:
                self._make_tables(mappings, sample.process.pid)
            found.append(Taken(sample, copy.registers, below + copy.stack, mappings))
        return found

    def _paired(self, cpu: int) -> Iterator[tuple[RawSample, bytes, Copy]]:
        """Those of one CPU, which is in one interrupt at a time. One of two may be lost, or still to come."""
        ours, copies = self._ours[cpu], self._copies[cpu]
        while ours and copies:
            (sample, below), copy = ours[0], copies[0]
            if abs(sample.time_ns - copy.time_ns) < _APART_NS and _are_of_one(sample, copy):
                yield sample, below, copy
                ours.popleft()
                copies.popleft()
            elif sample.time_ns < copy.time_ns:
                ours.popleft()
            else:
                copies.popleft()

    def _make_tables(self, mappings: Sequence[CodeMapping], pid: int) -> None:
        for mapping in mappings:
            if mapping.file is None or mapping.file in self._known:
                continue
            self._known.add(mapping.file)
            with suppress(Malformed, ProcessGone):
                key = self._files.identify(mapping.file, mapping.path, pid).key
                self._tables.put(key, self._files.unwind_table(mapping.file, mapping.path, pid))
            self._mapped.look()


def _are_of_one(sample: RawSample, copy: Copy) -> bool:
    """Whether it is the same thread, at the same instruction of its user code."""
    return sample.tid == copy.tid and sample.user[:1] == copy.registers[_PROGRAM_COUNTER:]


def _copies(ring: PerfRing) -> Iterator[Copy]:
    for kind, _, body in ring.drain():
        if kind != _SAMPLE:
            continue
        # Without user code, of a thread of the kernel, there are no registers and no stack.
        _, tid, time_ns, abi = struct.unpack_from("=IIQQ", body)
        if not abi:
            yield Copy(tid, time_ns, (), b"")
            continue
        *_, copied = values = _HEAD.unpack_from(body)
        (used,) = _WORD.unpack_from(body, _HEAD.size + copied) if copied else (0,)
        by_perf = dict(zip(sorted(_DWARF_ORDER), values[4:-1], strict=True))
        registers = tuple(by_perf[register] for register in _DWARF_ORDER)
        yield Copy(tid, time_ns, registers, body[_HEAD.size : _HEAD.size + used])


def _attributes(hz: int) -> bytes:
    """A struct perf_event_attr."""
    wanted = sum(1 << register for register in _DWARF_ORDER)
    return struct.pack(
        "=IIQQQQQIIQQQQIi16x",
        *(_SOFTWARE, 112, _CPU_CLOCK, 1_000_000_000 // hz, _TID_TIME_REGISTERS_STACK, 0, _DISABLED_OWN_CLOCK),
        *(0, 0, 0, 0, 0, wanted, _STACK_BYTES, time.CLOCK_MONOTONIC),
    )
