"""Samples from the kernel, through BCC. The only file that imports bcc.

BCC compiles profiler/bpf at start. It wants kernel headers; the programs here need none, so it is pointed at
profiler/bpf/include, a tree with the few names it asks for.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from mmap import PAGESIZE
from types import ModuleType
from typing import Any

from profiler.capture.btf import Btf
from profiler.capture.clock import Clock, slot_ns
from profiler.capture.header import BPF_DIRECTORY, read_header
from profiler.capture.kallsyms import without_kallsyms
from profiler.capture.mapping_events import MappingEvents
from profiler.capture.program import namer_name, program_text, task_offsets, walker_name
from profiler.capture.records import Record
from profiler.capture.source import Lost, Sampling
from profiler.capture.wire import decode
from profiler.errors import PrerequisiteError
from symbolizers.base import Interpreter
from symbolizers.registry import LANGUAGES

_RING_S = 0.2
"""The ring buffer has room for this many seconds; the session looks every 0.15 s at the latest."""
_RECORD_BYTES = 1 << 15
"""The length that records are assumed to have, about the longest: a process may fill all of them."""
_RING_PAGES = (512, 16384)
"""The smallest and the largest ring buffer: 2 and 64 MB."""
_RAW_TRACEPOINTS = {
    b"sched_process_fork": b"on_fork",
    b"sched_process_exec": b"on_exec",
    b"sched_process_exit": b"on_exit",
}

_MOST_ROWS_OF_USER = 32
"""Layouts of builds of interpreters that one user other than root may have; all have 255."""
_RECORDS = read_header("records.h")
_LOST = _RECORDS.enums["lost_record"]
_CONFIG = _RECORDS.structs["process_config"]
_MAX_WALKERS = _RECORDS.defines["MAX_WALKERS"]
_QUICKLY = ("-O1", "-g0")
"""Options that save a quarter of the compiler's time and change no instruction.

BCC itself optimizes what the compiler gives it, and nobody looks at the debugging information.
"""
_RECORD, _FRESH, _NAMERS = (len(LANGUAGES) + number for number in range(3))
"""Behind the walkers in the map `stages` come these programs, the last of them one a language."""
_PROGRAMS = {language.name: number for number, language in enumerate(LANGUAGES)}
"""The index of each language's walker in the map `stages`; also the order of their frames, leaf first."""


def import_bcc() -> ModuleType:
    """The distribution's BCC bindings. Raises `PrerequisiteError` when they are missing."""
    try:
        import bcc
    except ImportError as error:
        raise PrerequisiteError(
            f"the BCC bindings are missing ({error}): install them with 'apt-get install python3-bpfcc' and"
            " run pidflame with the system's /usr/bin/python3 or a virtual environment that sees its packages"
            " (python3 -m venv --system-site-packages); PyPI's package 'bcc' is something else"
        ) from None
    if not hasattr(bcc, "BPF"):
        raise PrerequisiteError(
            f"the module 'bcc' in {bcc.__file__} is not the BPF Compiler Collection: uninstall it"
            " ('pip uninstall bcc') and install python3-bpfcc with apt-get"
        )
    module: ModuleType = bcc
    return module


class BccSource:
    """A `SampleSource` that asks this machine's kernel. Lifetime: one recording."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._bpf: Any = None
        self._records: list[bytes] = []
        self._mappings: MappingEvents | None = None
        self._program: Any = None
        self._clock: Clock | None = None
        self._loaded: dict[str, bool] = {}
        self._named: set[str] = set()
        self._notes: list[str] = []
        self._rows: dict[bytes, int] = {}
        self._rows_of: Counter[int] = Counter()
        self._crowded: set[int] = set()
        """Users of whom a note says that they run too many builds."""

    def load(self) -> None:
        bcc = import_bcc()
        os.environ["BCC_KERNEL_SOURCE"] = str(BPF_DIRECTORY)
        try:
            flags = self._flags(Btf())
            with without_kallsyms():
                self._bpf = bcc.BPF(text=program_text(LANGUAGES), cflags=flags)
            self._program = self._bpf.load_func(b"on_sample", bcc.BPF.PERF_EVENT)
            length_ns = slot_ns(self._sampling.event, self._sampling.frequency_hz)
            self._bpf[b"slot_length"][ctypes.c_int(0)] = ctypes.c_uint64(length_ns)
            self._load_stage(_RECORD, b"on_record")
            for function in _RAW_TRACEPOINTS.values():
                self._bpf.load_func(function, bcc.BPF.RAW_TRACEPOINT)
        except PrerequisiteError:
            raise
        except Exception as error:  # bcc raises bare Exception
            raise PrerequisiteError(
                f"the kernel or BCC refused the sampler ({error}): pidflame needs Linux 5.8 or later with"
                " CONFIG_BPF_SYSCALL, and the capabilities CAP_BPF and CAP_PERFMON (run it with sudo)"
            ) from None
        self._bpf[b"records"].open_ring_buffer(self._on_record)
        self._bpf.free_bcc_memory()

    def start(self) -> None:
        for pid in self._sampling.targets or ():
            self.add_target(pid)
        try:
            for tracepoint, function in _RAW_TRACEPOINTS.items():
                self._bpf.attach_raw_tracepoint(tp=tracepoint, fn_name=function)
            clock = Clock(self._sampling.event, self._sampling.frequency_hz, self._program.fd)
        except Exception as error:  # bcc raises bare Exception
            raise PrerequisiteError(
                f"the kernel gave no {self._sampling.event} event ({error}): pidflame needs the capability"
                " CAP_PERFMON (run it with sudo); --event cycles needs hardware counters, cpu-clock does not"
            ) from None
        self._clock = clock
        try:
            self._mappings = MappingEvents(clock.cpus)
        except OSError as error:
            self._notes.append(
                f"the kernel does not tell what programs map ({error.strerror}): those that end at once may"
                " have no names"
            )

    def add_target(self, pid: int) -> None:
        table = self._bpf[b"targets"]
        table[table.Key(pid)] = table.Leaf(int(self._sampling.with_children))

    def drop_target(self, pid: int) -> None:
        table = self._bpf[b"targets"]
        with suppress(KeyError):  # its exit was seen
            del table[table.Key(pid)]

    def stop(self) -> None:
        if self._clock is not None:
            self._clock.close()

    def fileno(self) -> int:
        fd: int = self._bpf[b"records"].map_fd
        return fd

    def drain(self) -> Sequence[Record]:
        self._bpf.ring_buffer_consume()
        records, self._records = self._records, []
        # What was mapped before a sample comes before it.
        mapped = self._mappings.drain() if self._mappings is not None else []
        return [*mapped, *map(decode, records)]

    def configure(self, pid: int, start_ns: int, interpreters: Sequence[Interpreter], *, user: int) -> bool:
        values = dict.fromkeys(_CONFIG.fields, 0) | {"start_ns": start_ns}
        walkers = self._walkers(interpreters, user)
        if len(walkers) > _MAX_WALKERS:
            self._notes.append(
                f"process {pid} runs more than {_MAX_WALKERS} interpreters: functions of some have no names"
            )
        for slot, walker in enumerate(walkers[:_MAX_WALKERS]):
            for field, value in walker.items():
                values[f"walkers[{slot}].{field}"] = value
        table = self._bpf[b"processes"]
        key = table.Key(pid)
        if interpreters:
            table[key] = table.Leaf.from_buffer_copy(_CONFIG.pack(values))
        else:
            # The kernel side may have removed it, at exec or exit.
            with suppress(KeyError):
                del table[key]
        self._load_namers()
        return bool(walkers)

    def has_targets(self) -> bool:
        return self._sampling.targets is None or len(self._bpf[b"targets"]) > 0

    def lost(self) -> Lost:
        counts = self._bpf[b"lost"]
        samples, events = (counts.sum(ctypes.c_int(_LOST[name])) for name in ("LOST_SAMPLE", "LOST_EVENT"))
        return Lost(samples.value, events.value)

    def notes(self) -> Sequence[str]:
        return self._notes

    def cpus(self) -> int:
        return 0 if self._clock is None else len(self._clock.cpus)

    def close(self) -> None:
        self.stop()
        if self._mappings is not None:
            self._mappings.close()
            self._mappings = None
        if self._bpf is not None:
            self._bpf.cleanup()
            self._bpf = None

    def _walkers(self, interpreters: Sequence[Interpreter], user: int) -> list[dict[str, int]]:
        """A ``struct walker`` for each of the `interpreters` that this kernel can walk."""
        walkers = []
        for interpreter in sorted(interpreters, key=lambda each: _PROGRAMS[each.language]):
            row = self._row(interpreter, user) if self._has_walker(interpreter.language) else 0
            if row:
                program = _PROGRAMS[interpreter.language]
                walkers.append({"root": interpreter.root, "row": row, "program": program})
        return walkers

    def _has_walker(self, language: str) -> bool:
        """Loads the walker when its language is first seen: it takes time, and many machines run just one."""
        if language not in self._loaded:
            stages = {_PROGRAMS[language]: walker_name(language)}
            lack = "its functions have no names here"
            self._loaded[language] = self._loads(stages, f"the walker for {language}", lack)
        return self._loaded[language]

    def _load_namers(self) -> None:
        """Loads what takes names for the languages that have walkers: they already walk meanwhile."""
        for language, is_loaded in self._loaded.items():
            if is_loaded and language not in self._named:
                stages = {} if self._named else {_FRESH: b"on_fresh"}
                stages[_NAMERS + _PROGRAMS[language]] = namer_name(language)
                self._named.add(language)
                lack = "short-lived code may have none here"
                self._loads(stages, f"to take names of {language} at once", lack)

    def _loads(self, stages: Mapping[int, bytes], what: str, lack: str) -> bool:
        """Loads a program for each of `stages`; where the kernel refuses one, a note says what is lacking."""
        try:
            for stage, program in stages.items():
                self._load_stage(stage, program)
        except Exception as error:  # bcc raises bare Exception
            self._notes.append(
                f"this kernel refuses {what} ({error}): {lack};"
                " please report it with what 'pidflame doctor' says"
            )
            return False
        return True

    def _load_stage(self, stage: int, program: bytes) -> None:
        """Loads a program that goes on with a sample, to run as `stage`. Raises what bcc does."""
        loaded = self._bpf.load_func(program, self._bpf.PERF_EVENT)
        self._bpf[b"stages"][ctypes.c_int(stage)] = ctypes.c_int(loaded.fd)

    def _flags(self, btf: Btf) -> list[str]:
        defines = {
            "FILTER_TARGETS": int(self._sampling.targets is not None),
            "RING_PAGES": self._ring_pages(),
            "TICK_NS": 1_000_000_000 // os.sysconf("SC_CLK_TCK"),
            "LANGUAGES": len(LANGUAGES),
            **task_offsets(btf),
        }
        return [*_QUICKLY, f"-I{BPF_DIRECTORY}", *(f"-D{name}={value}" for name, value in defines.items())]

    def _ring_pages(self) -> int:
        """A power of two, as the kernel wants it."""
        cpus = os.cpu_count() or 1
        wanted_bytes = cpus * self._sampling.frequency_hz * _RING_S * _RECORD_BYTES
        least, most = _RING_PAGES
        pages = least
        while pages < most and pages * PAGESIZE < wanted_bytes:
            pages *= 2
        return pages

    def _row(self, interpreter: Interpreter, user: int) -> int:
        """The row of the interpreter's layout in the map of layouts, where it is put when it is first seen.

        Row 0 stays empty: it means that no walker runs, also for a layout that finds the map full. A `user`
        other than root may put some there, so that there is room for those of the others.
        """
        layout = read_header(f"{interpreter.language}_layout.h").structs[f"{interpreter.language}_layout"]
        try:
            packed = layout.pack(dict(interpreter.offsets))
        except (struct.error, KeyError):
            self._notes.append(
                f"a build of {interpreter.language} {interpreter.version} says of itself what can't be: its"
                " functions have no names here"
            )
            return 0
        table = self._bpf[b"layouts"]
        if packed in self._rows:
            return self._rows[packed]
        if len(self._rows) + 1 < len(table) and (user == 0 or self._rows_of[user] < _MOST_ROWS_OF_USER):
            self._rows[packed] = len(self._rows) + 1
            self._rows_of[user] += 1
            row = packed.ljust(ctypes.sizeof(table.Leaf), b"\0")
            table[ctypes.c_int(self._rows[packed])] = table.Leaf.from_buffer_copy(row)
            return self._rows[packed]
        if user not in self._crowded:
            self._crowded.add(user)
            self._notes.append(
                f"user {user} runs more builds of interpreters than there is room for: functions of the"
                f" others, such as {interpreter.language} {interpreter.version}, have no names here"
            )
        return 0

    def _on_record(self, _context: object, data: int, size: int) -> int:
        self._records.append(ctypes.string_at(data, size))
        return 0
