"""What the deadline worker does when asked: inspect a process, read code objects, name addresses.

Every method touches targets and so may be slow or stuck; the worker around it may be killed at any
moment, and a fresh one must be able to go on: what is kept here is only cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from symbolizers.base import (
    Interpreter,
    Language,
    RuntimeFile,
    Symbolizer,
    TaskChain,
    TaskReader,
    ThreadReader,
)
from symbolizers.elf.file import ElfFile
from symbolizers.errors import (
    Changed,
    FaultReason,
    Malformed,
    ProcessGone,
    ReadFault,
    SymbolizeError,
    UnsupportedVersion,
)
from symbolizers.frame import CodeObject, Frame, RawFrame, capture_kind
from symbolizers.inspection import VDSO, CodeMapping, FileKey, Inspection, Unsupported
from symbolizers.native.symbols import NativeSymbols, vdso_symbols
from symbolizers.native.unnamed import VDSO_PATH, mapping_frame, module_name
from symbolizers.process.files import FileUnavailable, open_mapping
from symbolizers.process.identity import ProcessHandle, ProcessId, open_process, runs_thread
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.process.memory import NowaitReader, ReadStrategy
from symbolizers.process.prefetch import FilePart, bring
from symbolizers.registry import LANGUAGE_OF_KIND, languages

_MAX_FILES = 4096
_MAX_PROCESSES = 256
_MAX_ROUNDS = 16
"""How often swapped pages are brought for one request: a code object leads to its names and lines."""


@dataclass(slots=True)
class _File:
    """An opened file of a target. Lifetime: the file; the descriptor stays open for its symbols."""

    fd: int
    elf: ElfFile
    path: str
    runtimes: tuple[tuple[Language, RuntimeFile], ...]
    notes: tuple[str, ...]
    unsupported: tuple[Unsupported, ...]
    symbols: NativeSymbols | None = None


@dataclass(slots=True)
class _Process:
    """A process with an interpreter in it. Lifetime: its address space."""

    handle: ProcessHandle
    memory: NowaitReader
    symbolizers: dict[str, Symbolizer]
    runtimes: tuple[tuple[_File, int], ...]
    """The files with interpreters, each with its load bias."""
    threads: tuple[ThreadReader, ...]
    tasks: tuple[TaskReader, ...]


class Service:
    """The worker's side of every question about targets. Lifetime: the worker process."""

    def __init__(self, *, lines: bool, strategy: ReadStrategy | None = None) -> None:
        """`strategy`: one of `available_strategies`; by default the preferred one."""
        self._lines = lines
        self._strategy = strategy
        self._languages = languages()
        self._files: dict[FileKey, _File | None] = {}
        self._processes: dict[ProcessId, _Process] = {}
        self._vdso: NativeSymbols | None = None

    def inspect(self, pid: int, start_ticks: int | None) -> Inspection:
        """Maps and interpreters of `pid`. Raises `ProcessGone` when it is not that process any more."""
        handle = open_process(pid, start_ticks)
        try:
            mappings = read_mappings(handle, executable_only=True)
            notes: list[str] = []
            unsupported: list[Unsupported] = []
            interpreters: list[Interpreter] = []
            symbolizers: dict[str, Symbolizer] = {}
            memory = NowaitReader(handle, self._strategy)
            runtimes: list[tuple[_File, int]] = []
            threads: list[ThreadReader | None] = []
            tasks: list[TaskReader | None] = []
            for mapping in mappings:
                file = self._file(handle, mapping)
                if file is None:
                    continue
                notes += (note for note in file.notes if note not in notes)
                unsupported += (each for each in file.unsupported if each not in unsupported)
                for language, runtime in file.runtimes:
                    if language.name in symbolizers:
                        continue
                    bias = file.elf.bias(mapping.start, mapping.offset)
                    interpreter = runtime.attach(bias)
                    runtimes.append((file, bias))
                    interpreters.append(interpreter)
                    if interpreter.note:
                        notes.append(interpreter.note)
                    symbolizer = runtime.symbolizer(interpreter, memory, lines=self._lines)
                    symbolizers[language.name] = symbolizer
                    threads.append(runtime.thread_reader(interpreter, memory))
                    tasks.append(runtime.task_reader(interpreter, memory, symbolizer))
        except BaseException:
            handle.close()
            raise
        process = handle.id
        self.forget(process)
        if symbolizers:
            if len(self._processes) >= _MAX_PROCESSES:
                self.forget(next(iter(self._processes)))
            self._processes[process] = _Process(
                handle,
                memory,
                symbolizers,
                tuple(runtimes),
                tuple(reader for reader in threads if reader is not None),
                tuple(reader for reader in tasks if reader is not None),
            )
        else:
            handle.close()
        return Inspection(
            process,
            tuple(map(_code_mapping, mappings)),
            tuple(interpreters),
            tuple(notes),
            tuple(unsupported),
        )

    def read(self, process: ProcessId, frames: Sequence[RawFrame]) -> list[CodeObject | SymbolizeError]:
        """The code object behind each of `frames`, or why not. Raises `ProcessGone`."""
        known = self._known(process)
        results = [self._read(known, frame) for frame in frames]
        for _ in range(_MAX_ROUNDS):
            missing = {
                index: at for index, result in enumerate(results) if (at := _missing(result)) is not None
            }
            if not missing:
                break
            parts = [part for file, bias in known.runtimes for part in _parts(file, bias)]
            if not bring(known.handle, known.memory, missing.values(), parts):
                break
            for index in missing:
                results[index] = self._read(known, frames[index])
        return results

    def thread_names(self, process: ProcessId, wanted: dict[int, int]) -> dict[int, str]:
        """The languages' own names, by tid, of those of the `wanted` threads (pointers by tid) that have one.

        Raises `ProcessGone`, or why names can't be read (now).
        """
        by_pointer: dict[int, str] = {}
        for reader in self._known(process).threads:
            by_pointer.update(reader.names(wanted.values()))
        found = {tid: by_pointer[pointer] for tid, pointer in wanted.items() if pointer in by_pointer}
        # When a thread ends, another soon has its thread pointer: a name is that of a thread that still runs.
        return {tid: name for tid, name in found.items() if runs_thread(process.pid, tid)}

    def task_chain(self, process: ProcessId, task: int, identity: int) -> TaskChain:
        """What waits for the task at that address. Raises `ProcessGone`, or why that can't be read (now)."""
        for reader in self._known(process).tasks:
            return reader.chain(task, identity)
        raise Malformed("no interpreter with tasks that say who waits for them")

    def names(self, file: FileKey, path: str, offsets: Sequence[int]) -> list[Frame]:
        """Frames for file `offsets` in `file`, mapped as `path`. Raises `Malformed` when it can't be had."""
        if file == VDSO:
            symbols = self._vdso = self._vdso or vdso_symbols()
            if symbols is None:
                raise Malformed("the vDSO has no symbols")
            return [symbols.name(offset) for offset in offsets]
        known = self._files[file] if file in self._files else self._find_again(file, path)
        if known is None:
            raise Malformed("the file could not be opened")
        if known.symbols is None:
            known.symbols = NativeSymbols(known.elf, module_name(known.path))
        return [self._name(known, known.symbols, offset) for offset in offsets]

    def forget(self, process: ProcessId) -> None:
        """Gives back what is held of `process`, which exited or replaced its program."""
        known = self._processes.pop(process, None)
        if known is not None:
            known.memory.forget()
            known.handle.close()

    def _known(self, process: ProcessId) -> _Process:
        """A process that is alive and has an interpreter, inspected if need be. Raises `ProcessGone`."""
        if process not in self._processes:
            self.inspect(process.pid, process.start_ticks)
        known = self._processes.get(process)
        if known is None:
            raise ProcessGone(f"process {process.pid} runs no interpreter any more")
        known.memory.forget()
        if not known.handle.alive():
            raise ProcessGone(f"process {process.pid} exited")
        return known

    @staticmethod
    def _name(file: _File, symbols: NativeSymbols, offset: int) -> Frame:
        try:
            return symbols.name(file.elf.address_of_offset(offset))
        except Malformed:  # mapped beyond what the file says of itself
            return mapping_frame(file.path, offset)

    @staticmethod
    def _read(known: _Process, frame: RawFrame) -> CodeObject | SymbolizeError:
        symbolizer = known.symbolizers.get(LANGUAGE_OF_KIND.get(capture_kind(frame.address), ""))
        if symbolizer is None:
            return Malformed(f"no symbolizer for frame {frame.address:#x}")
        try:
            return symbolizer.read(frame)
        except SymbolizeError as error:
            return error

    def _file(self, handle: ProcessHandle, mapping: Mapping) -> _File | None:
        """The file behind `mapping`, opened at most once; None for memory and for what can't be read."""
        key = _file_key(mapping)
        if key is None or key == VDSO:
            return None
        if key not in self._files:
            if len(self._files) >= _MAX_FILES:
                evicted = self._files.pop(next(iter(self._files)))
                if evicted is not None:
                    os.close(evicted.fd)
                    evicted.fd = -1  # a process may have it still
            try:
                self._files[key] = self._open(handle, mapping)
            except Changed:  # says something of this process alone: the next may have the file still
                return None
        return self._files[key]

    def _find_again(self, file: FileKey, path: str) -> _File | None:
        """A file that the worker before this one had open: by its name here, if that is the same inode."""
        *device, inode = file
        mapping = Mapping(0, 0, True, False, True, 0, (device[0], device[1]), inode, path)
        with open_process(os.getpid()) as own:
            return self._file(own, mapping)

    def _open(self, handle: ProcessHandle, mapping: Mapping) -> _File | None:
        """Opens the file behind `mapping`. Raises `Changed` where another is mapped there by now."""
        try:
            fd = open_mapping(handle, mapping)
        except FileUnavailable:
            return None
        try:
            elf = ElfFile.from_fd(fd)
        except Malformed:
            os.close(fd)
            return None
        runtimes: list[tuple[Language, RuntimeFile]] = []
        notes: list[str] = []
        unsupported: list[Unsupported] = []
        for language in self._languages:
            try:
                runtime = language.recognise(elf)
            except (UnsupportedVersion, Malformed) as error:
                notes.append(str(error))
                if isinstance(error, UnsupportedVersion):
                    unsupported.append(Unsupported(error.language, error.version, error.supported))
                continue
            if runtime is not None:
                runtimes.append((language, runtime))
        return _File(fd, elf, mapping.path, tuple(runtimes), tuple(notes), tuple(unsupported))


def _parts(file: _File, bias: int) -> list[FilePart]:
    """Where a process that maps `file` at load bias `bias` has which part of it."""
    return [
        FilePart(each.address + bias, each.address + bias + each.file_size, file.fd, each.offset)
        for each in file.elf.segments
    ]


def _missing(result: CodeObject | SymbolizeError) -> int | None:
    """The address of the page that `result` lacks, if it lacks one."""
    if isinstance(result, ReadFault) and result.fault is FaultReason.WOULD_FAULT:
        return result.address
    return None


def _file_key(mapping: Mapping) -> FileKey | None:
    if mapping.inode:
        return (*mapping.device, mapping.inode)
    return VDSO if mapping.path == VDSO_PATH else None


def _code_mapping(mapping: Mapping) -> CodeMapping:
    # The vDSO's addresses count from its start, whatever offset maps gives for it.
    offset = 0 if mapping.path == VDSO_PATH else mapping.offset
    return CodeMapping(mapping.start, mapping.end, offset, _file_key(mapping), mapping.path)
