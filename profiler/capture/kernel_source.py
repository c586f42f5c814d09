"""Samples from this machine's kernel."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock, Thread

from profiler.capture.clock import Clock, slot_ns
from profiler.capture.header import read_header
from profiler.capture.kernel_names import KernelNames
from profiler.capture.kernel_objects import KernelObjects, number
from profiler.capture.known_stacks import KnownStacks
from profiler.capture.layout_rows import LayoutRows
from profiler.capture.libbpf import PERF_EVENT
from profiler.capture.loading import Loading
from profiler.capture.mapping_events import MappingEvents
from profiler.capture.program import Part, namer_name, walker_name
from profiler.capture.records import Record
from profiler.capture.ring import RingBuffer
from profiler.capture.source import Cost, Lost, Sampling
from profiler.capture.table_cache import TableCache
from profiler.capture.unwind_tables import UnwindTables
from profiler.errors import PrerequisiteError
from symbolizers.base import Interpreter
from symbolizers.inspection import KernelKey, generated_key
from symbolizers.process.identity import ProcessId
from symbolizers.registry import LANGUAGES

_ALARM_PART = 4
"""One part of so many of the ring buffer is full when the session is woken."""
_TRACEPOINTS = {
    "sched_process_fork": "on_fork",
    "sched_process_exec": "on_exec",
    "sched_process_exit": "on_exit",
}

_RECORDS = read_header("records.h")
_LOST = _RECORDS.enums["lost_record"]
_CONFIG = _RECORDS.structs["process_config"]
_SETTINGS = _RECORDS.structs["settings"]
_ALL_BITS = (1 << 32) - 1
_WORD = struct.Struct("=Q")
_MAX_WALKERS = _RECORDS.defines["MAX_WALKERS"]
_RECORD, _FRESH, _COUNT, _UNWIND, _COPY, _NAMERS = (len(LANGUAGES) + number for number in range(6))
"""Behind the walkers in the map `stages` come these programs, the last of them one a language."""
_STAGES = {_RECORD: "on_record", _UNWIND: "on_unwind", _COPY: "on_copy"}
_PROGRAMS = {language.name: number for number, language in enumerate(LANGUAGES)}
"""The index of each language's walker in the map `stages`; also the order of their frames, leaf first."""


class KernelSource:
    """A `SampleSource` that asks this machine's kernel. Lifetime: one recording."""

    def __init__(self, sampling: Sampling, loading: Loading | None = None) -> None:
        """`loading` may have begun before; it is closed with this."""
        self._sampling = sampling
        self._loading = loading or Loading(sampling.frequency_hz)
        self._objects: KernelObjects | None = None
        self._ring: RingBuffer | None = None
        self._ready = select.epoll()
        """Of all buffers that records come through."""
        self._mappings: MappingEvents | None = None
        self._clock: Clock | None = None
        self._rows: LayoutRows | None = None
        self._tables: UnwindTables | None = None
        self._table_cache = TableCache(is_used=self._loading.uses_cache)
        self._stacks = KnownStacks(
            lambda stack: self._kernel.maps["stacks"].discard(stack), os.cpu_count() or 1
        )
        self._names: KernelNames | None = None
        self._settings: dict[str, int] = {}
        """All but the length of a slot."""
        self._loaded: dict[str, bool] = {}
        self._named: set[str] = set()
        self._changed: Callable[[], None] | None = None
        self._counts = False
        """Whether what counts equal samples was loaded."""
        self._drawing = Lock()
        self._one_at_a_time = Lock()
        self._loaders: list[Thread] = []
        self._is_complete = False
        self._notes: list[str] = []

    def load(self, changed: Callable[[], None] | None = None) -> None:
        """As `SampleSource.load`. Without `changed`, `configure` waits for walkers that it needs."""
        self._changed = changed
        self._objects = self._loading.objects()
        maps = self._objects.maps
        try:
            self._ring = RingBuffer(maps["records"].fd, self._objects.ring_bytes)
            for stage, program in _STAGES.items():
                maps["stages"][number(stage)] = number(self._loading.programs[program])
        except OSError as error:
            raise PrerequisiteError(
                f"the kernel gave no ring buffer ({error}): lower the frequency (-F), or free memory"
            ) from None
        self._ready.register(maps["records"].fd, select.EPOLLIN)
        self._settings = {
            "only_targets": int(self._sampling.targets is not None),
            "compiler": 0,
            "threads": int(self._sampling.threads),
            "position_mask": _ALL_BITS if self._sampling.lines else _RECORDS.defines["FRAME_ENTERED"],
            "beyond_mask": 0 if self._sampling.inlines else (1 << 64) - 1,
            **{f"key[{word}]": int.from_bytes(os.urandom(8), "little") for word in range(2)},
        }
        self._draw_slots()
        self._rows = LayoutRows(maps["layouts"], self._notes.append)
        self._tables = UnwindTables(
            maps["unwind_tables"], maps["tables"], maps["chunks"].shape, self._lacks_tables
        )

    def start(self) -> None:
        for pid in self._sampling.targets or ():
            self.add_target(pid)
        self._leave_out(self._loading.begin_part(Part.LATER))
        programs = self._loading.programs
        try:
            for tracepoint, program in _TRACEPOINTS.items():
                self._kernel.attach_raw_tracepoint(tracepoint, programs[program])
            clock = Clock(
                self._sampling.event,
                self._sampling.frequency_hz,
                programs["on_sample"],
                self._tell_period,
            )
        except OSError as error:
            raise PrerequisiteError(
                f"the kernel gave no {self._sampling.event} event ({error}): pidflame needs the capability"
                " CAP_PERFMON (run it with sudo); --event cycles needs hardware counters, cpu-clock does not"
            ) from None
        self._clock = clock
        try:
            self._mappings = MappingEvents(clock.cpus)
            # Where only targets are sampled, what others map should wake nobody.
            for fd in self._mappings.fds() if self._sampling.targets is None else ():
                self._ready.register(fd, select.EPOLLIN)
        except OSError as error:
            self._notes.append(
                f"the kernel does not tell what programs map ({error.strerror}): those that end at once may"
                " have no names"
            )

    def complete(self) -> None:
        self._is_complete = True
        if self._settings["compiler"]:
            self._begin_to_load(self._load_rest)
        else:
            self._load_rest()

    def _load_rest(self) -> None:
        """Loads what is not missed at once, when that is compiled."""
        self._loading.wait(Part.LATER)
        self._leave_out(0)
        self._loading.wait(Part.WALKERS)  # perhaps nothing here needed one, but the next run may
        with self._one_at_a_time:
            if not self._sampling.singly and not self._counts:
                self._counts = True
                stages, lack = {_COUNT: "on_count"}, "a recording costs more here"
                self._loads(Part.LATER, stages, "what counts equal samples", lack)
            self._load_namers()

    def _leave_out(self, compiler: int) -> None:
        """Records no sample of this process, and of no other one that was left out before."""
        with self._drawing:
            self._settings["compiler"] = compiler
        self._draw_slots()

    def add_target(self, pid: int) -> None:
        flags = int(self._sampling.with_children)
        self._kernel.maps["targets"][number(pid)] = number(flags)

    def drop_target(self, pid: int) -> None:
        self._kernel.maps["targets"].discard(number(pid))

    def stop(self) -> None:
        if self._clock is not None:
            self._clock.close()

    def fileno(self) -> int:
        return self._ready.fileno()

    def set_alarm(self, *, is_full: bool = False) -> None:
        after_bytes = self._kernel.ring_bytes // _ALARM_PART if is_full else 1
        self._kernel.maps["sleeps"][number(0)] = number(after_bytes)

    def drain(self) -> Sequence[Record]:
        assert self._ring is not None
        records = list(self._ring.drain())
        if records:
            self._redraw_if_due()
        # What was mapped before a sample comes before it.
        mapped = self._mappings.drain() if self._mappings is not None else []
        return [*mapped, *self._stacks.decode(records)]

    def _tell_period(self, cpu: int, period_ns: int) -> None:
        self._kernel.maps["periods"][number(cpu)] = _WORD.pack(period_ns)

    def _draw_slots(self) -> None:
        slots = {"slot_ns": slot_ns(self._sampling.event, self._sampling.frequency_hz)}
        with self._drawing:
            self._kernel.maps["settings"][number(0)] = _SETTINGS.pack(slots | self._settings)

    def _redraw_if_due(self) -> None:
        """Draws anew what samples could be in step with."""
        if self._sampling.event != "cpu-clock" or self._clock is None or not self._clock.is_redraw_due():
            return
        try:
            self._clock.redraw()
            self._draw_slots()
        except OSError as error:
            note = f"the clock keeps its period ({error.strerror}): programs in step with it may count wrong"
            if note not in self._notes:
                self._notes.append(note)

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
        processes = self._kernel.maps["processes"]
        if interpreters:
            processes[number(pid)] = _CONFIG.pack(values)
        else:
            processes.discard(number(pid))
        if self._is_complete and self._changed is None:
            self._load_namers()
        return bool(walkers)

    def has_table(self, file: KernelKey, owner: int) -> bool:
        assert self._tables is not None
        if not self._tables.has(file):
            kept = self._table_cache.read(file, owner)
            if kept is None:
                return False
            self._put_table(file, kept)
        return True

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        assert self._tables is not None
        return self._tables.find_rule(file, offset)

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        self._put_table(file, chunks)
        self._table_cache.keep(file, owner, chunks)

    def put_generated(self, process: ProcessId, base: int, chunks: bytes) -> None:
        self._put_table(generated_key(process), chunks, base)

    def drop_generated(self, process: ProcessId) -> None:
        assert self._tables is not None
        self._tables.drop(generated_key(process))

    def _put_table(self, file: KernelKey, chunks: bytes, base: int = 0) -> None:
        assert self._tables is not None
        try:
            self._tables.put(file, chunks, base=base)
        except OSError as error:
            self._lacks_tables(error)

    def _lacks_tables(self, error: OSError) -> None:
        self._notes.append(f"the kernel took no unwind table ({error.strerror}): native stacks end early")

    def has_targets(self) -> bool:
        return self._sampling.targets is None or not self._kernel.maps["targets"].is_empty()

    def kernel_names(self, addresses: Collection[int]) -> Mapping[int, bytes]:
        if not addresses:
            return {}
        try:
            self._names = self._names or KernelNames(self._loading)
            return self._names.of(addresses)
        except (OSError, PrerequisiteError):  # before Linux 5.13; its list of functions tells as well
            return {}

    def lost(self) -> Lost:
        counts = self._kernel.maps["lost"]
        samples, events = (counts.sum(number(_LOST[name])) for name in ("LOST_SAMPLE", "LOST_EVENT"))
        return Lost(samples + self._stacks.lost, events)

    def notes(self) -> Sequence[str]:
        return [*self._loading.notes, *self._notes]

    def cpus(self) -> int:
        return 0 if self._clock is None else len(self._clock.cpus)

    def compiler_cost(self) -> Cost:
        return self._loading.compiler_cost()

    def close(self) -> None:
        self.stop()
        self._ready.close()
        if self._mappings is not None:
            self._mappings.close()
        if self._ring is not None:
            self._ring.close()
        for loader in self._loaders:
            loader.join()
        if self._tables is not None:
            self._tables.close()
        self._loading.close()
        self._objects = self._ring = self._mappings = None

    @property
    def _kernel(self) -> KernelObjects:
        assert self._objects is not None, "load comes first, close last"
        return self._objects

    def _walkers(self, interpreters: Sequence[Interpreter], user: int) -> list[dict[str, int]]:
        """A ``struct walker`` for each of the `interpreters` that this kernel can walk."""
        assert self._rows is not None
        walkers = []
        for interpreter in sorted(interpreters, key=lambda each: _PROGRAMS[each.language]):
            row = self._rows.row(interpreter, user) if self._has_walker(interpreter.language) else 0
            if row:
                program = _PROGRAMS[interpreter.language]
                walker = {"root": interpreter.root, "row": row, "program": program}
                for part in ("loop", "cold_loop"):
                    start, end = getattr(interpreter, part)
                    walker |= {part: start, f"{part}_bytes": min(max(end - start, 0), _ALL_BITS)}
                walkers.append(walker)
        return walkers

    def _has_walker(self, language: str) -> bool:
        """Loads the walker when its language is first seen: it takes time, and many machines run just one.

        While samples are taken nobody waits for it.
        """
        if language not in self._loaded:
            self._loaded[language] = False
            if self._is_complete and self._changed is not None:
                self._begin_to_load(self._load_later, language, self._changed)
            else:
                self._load_walker(language)
        return self._loaded[language]

    def _begin_to_load(self, load: Callable[..., None], *what: object) -> None:
        loader = Thread(target=load, args=what, name="load", daemon=True)
        self._loaders.append(loader)
        loader.start()

    def _load_later(self, language: str, changed: Callable[[], None]) -> None:
        with self._one_at_a_time:
            self._load_walker(language)
        changed()
        self._load_rest()

    def _load_walker(self, language: str) -> None:
        stages = {_PROGRAMS[language]: walker_name(language)}
        lack = "its functions have no names here"
        self._loaded[language] = self._loads(Part.WALKERS, stages, f"the walker for {language}", lack)

    def _load_namers(self) -> None:
        """Loads what takes names for the languages that have walkers: they already walk meanwhile."""
        for language, is_loaded in tuple(self._loaded.items()):
            if is_loaded and language not in self._named:
                stages = {} if self._named else {_FRESH: "on_fresh"}
                stages[_NAMERS + _PROGRAMS[language]] = namer_name(language)
                self._named.add(language)
                lack = "short-lived code may have none here"
                self._loads(Part.LATER, stages, f"what takes names of {language} at once", lack)

    def _loads(self, part: Part, stages: Mapping[int, str], what: str, lack: str) -> bool:
        """Loads a program for each of `stages`; where that can't be, a note says what is lacking."""
        try:
            for stage, program in stages.items():
                # It goes on with a sample, and runs as this stage.
                loaded = self._loading.load(part, PERF_EVENT, program)
                self._kernel.maps["stages"][number(stage)] = number(loaded)
        except (OSError, PrerequisiteError) as error:
            self._notes.append(
                f"{what} can't be loaded ({error}): {lack}; please report it with what 'pidflame doctor' says"
            )
            return False
        return True
