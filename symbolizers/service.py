"""What the deadline worker does when asked: inspect a process, read code objects, name addresses.

Every method touches targets and so may be slow or stuck; the worker around it may be killed at any
moment, and a fresh one must be able to go on: what is kept here is only cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from symbolizers.base import Interpreter, Language, RuntimeFile, Symbolizer
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, Malformed, ProcessGone, SymbolizeError, UnsupportedVersion
from symbolizers.frame import CodeObject, Frame, RawFrame, capture_kind
from symbolizers.native import NativeSymbols, mapping_frame, module_name, vdso_symbols
from symbolizers.process.files import FileUnavailable, open_mapping
from symbolizers.process.identity import ProcessHandle, ProcessId, open_process
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.process.memory import NowaitReader
from symbolizers.registry import LANGUAGE_OF_KIND, languages

FileKey = tuple[int, int, int]
"""Device major, minor and inode: a file's identity as /proc/PID/maps gives it."""

VDSO: FileKey = (0, 0, 0)
"""Stands for the kernel's ``[vdso]``, the same code in every process though no file."""
_VDSO_PATH = "[vdso]"

_MAX_FILES = 4096
_MAX_PROCESSES = 256


@dataclass(frozen=True, slots=True)
class CodeMapping:
    """One executable mapping: addresses ``start`` to ``end``, from ``offset`` of a file on.

    `file` is None for memory without a file; `path` as in /proc/PID/maps.
    """

    start: int
    end: int
    offset: int
    file: FileKey | None
    path: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What there is to know of a process before any of its samples can be named."""

    process: ProcessId
    mappings: tuple[CodeMapping, ...]
    """Sorted by address."""
    interpreters: tuple[Interpreter, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _File:
    """An opened file of a target. Lifetime: the file; the descriptor stays open for its symbols."""

    fd: int
    elf: ElfFile
    path: str
    runtimes: tuple[tuple[Language, RuntimeFile], ...]
    notes: tuple[str, ...]
    symbols: NativeSymbols | None = None


@dataclass(slots=True)
class _Process:
    """A process with an interpreter in it. Lifetime: its address space."""

    handle: ProcessHandle
    memory: NowaitReader
    symbolizers: dict[str, Symbolizer]


class Service:
    """The worker's side of every question about targets. Lifetime: the worker process."""

    def __init__(self, *, lines: bool) -> None:
        self._lines = lines
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
            interpreters: list[Interpreter] = []
            symbolizers: dict[str, Symbolizer] = {}
            memory = NowaitReader(handle)
            for mapping in mappings:
                file = self._file(handle, mapping)
                if file is None:
                    continue
                notes += (note for note in file.notes if note not in notes)
                for language, runtime in file.runtimes:
                    if language.name in symbolizers:
                        continue
                    interpreter = runtime.attach(file.elf.bias(mapping.start, mapping.offset))
                    interpreters.append(interpreter)
                    symbolizers[language.name] = runtime.symbolizer(interpreter, memory, lines=self._lines)
        except BaseException:
            handle.close()
            raise
        process = handle.id
        self.forget(process)
        if symbolizers:
            if len(self._processes) >= _MAX_PROCESSES:
                self.forget(next(iter(self._processes)))
            self._processes[process] = _Process(handle, memory, symbolizers)
        else:
            handle.close()
        return Inspection(process, tuple(map(_code_mapping, mappings)), tuple(interpreters), tuple(notes))

    def read(self, process: ProcessId, frames: Sequence[RawFrame]) -> list[CodeObject | SymbolizeError]:
        """The code object behind each of `frames`, or why not. Raises `ProcessGone`."""
        if process not in self._processes:
            self.inspect(process.pid, process.start_ticks)
        known = self._processes.get(process)
        if known is None:
            raise ProcessGone(f"process {process.pid} runs no interpreter any more")
        known.memory.forget()
        if not known.handle.alive():
            raise ProcessGone(f"process {process.pid} exited")
        return [self._read(known, frame) for frame in frames]

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
            self._files[key] = self._open(handle, mapping)
        return self._files[key]

    def _find_again(self, file: FileKey, path: str) -> _File | None:
        """A file that the worker before this one had open: by its name here, if that is the same inode."""
        *device, inode = file
        mapping = Mapping(0, 0, True, False, True, 0, (device[0], device[1]), inode, path)
        with open_process(os.getpid()) as own:
            return self._file(own, mapping)

    def _open(self, handle: ProcessHandle, mapping: Mapping) -> _File | None:
        try:
            fd = open_mapping(handle, mapping)
        except (FileUnavailable, Changed):
            return None
        try:
            elf = ElfFile.from_fd(fd)
        except Malformed:
            os.close(fd)
            return None
        runtimes: list[tuple[Language, RuntimeFile]] = []
        notes: list[str] = []
        for language in self._languages:
            try:
                runtime = language.recognise(elf)
            except (UnsupportedVersion, Malformed) as error:
                notes.append(str(error))
                continue
            if runtime is not None:
                runtimes.append((language, runtime))
        return _File(fd, elf, mapping.path, tuple(runtimes), tuple(notes))


def _file_key(mapping: Mapping) -> FileKey | None:
    if mapping.inode:
        return (*mapping.device, mapping.inode)
    return VDSO if mapping.path == _VDSO_PATH else None


def _code_mapping(mapping: Mapping) -> CodeMapping:
    # The vDSO's addresses count from its start, whatever offset maps gives for it.
    offset = 0 if mapping.path == _VDSO_PATH else mapping.offset
    return CodeMapping(mapping.start, mapping.end, offset, _file_key(mapping), mapping.path)
