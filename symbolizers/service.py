"""What the deadline worker does when asked: inspect a process, read code objects, name addresses.

Every method touches targets and so may be slow or stuck; the worker around it may be killed at any
moment, and a fresh one must be able to go on: what is kept here is only cache.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from symbolizers.base import (
    Interpreter,
    Language,
    RuntimeFile,
    Symbolizer,
    TaskChain,
    TaskReader,
    ThreadReader,
)
from symbolizers.code_caches import CodeCaches
from symbolizers.errors import FaultReason, Malformed, ProcessGone, ReadFault, Reason, SymbolizeError
from symbolizers.files import OpenFile, OpenFiles, kernel_key
from symbolizers.frame import CodeObject, RawFrame, capture_kind
from symbolizers.inspection import (
    CHUNK_BYTES,
    MOST_MAPPINGS,
    CodeMapping,
    FileContents,
    FileKey,
    IdentifiedFile,
    Inspection,
    Unsupported,
)
from symbolizers.native.generated import GeneratedCode
from symbolizers.native.unnamed import VDSO_PATH, is_memory_file
from symbolizers.process import maps
from symbolizers.process.description import Description, container_with_id, describe
from symbolizers.process.identity import ProcessHandle, ProcessId, open_process, runs_thread
from symbolizers.process.maps import read_mappings
from symbolizers.process.memory import NowaitReader, ReadStrategy
from symbolizers.process.prefetch import bring
from symbolizers.process.sandbox import Sandbox
from symbolizers.questions import (
    Answer,
    AnyQuestion,
    Awaiters,
    Codes,
    Describe,
    Described,
    Failed,
    Forget,
    Forgotten,
    GeneratedChunks,
    Identified,
    IdentifyFiles,
    Inspect,
    Inspected,
    LookedInto,
    LookInto,
    MappedFile,
    NamedThread,
    NameOffsets,
    Names,
    ReadAwaiters,
    ReadCodes,
    ReadGenerated,
    ReadSandbox,
    ReadThreads,
    ReadUnwinding,
    Sandboxed,
    ThreadNames,
    UnwindChunks,
)
from symbolizers.registry import LANGUAGE_OF_KIND, languages

_MAX_PROCESSES = 256
_MOST_CHARACTERS = 1 << 18
"""Of names, files and lines in one answer; each can take twelve bytes of it (two surrogates in JSON)."""
_LINE_CHARACTERS = 2
_MOST_TABLE_BYTES = 256 * CHUNK_BYTES
"""Of an unwind table, in one answer."""
_MAX_ROUNDS = 16
"""How often pages are brought for one request: each may lead to others, as a code object to its names."""


class _Process(Struct):
    """A process with an interpreter in it. Lifetime: its address space."""

    handle: ProcessHandle
    memory: NowaitReader
    symbolizers: dict[str, Symbolizer] = field(default_factory=dict)
    """By language."""
    runtimes: list[tuple[OpenFile, int]] = field(default_factory=list)
    """The files with interpreters, each with its load bias."""
    threads: list[ThreadReader] = field(default_factory=list)
    tasks: list[TaskReader] = field(default_factory=list)

    def close(self) -> None:
        """Gives back what is held for it."""
        self.memory.forget()
        self.handle.close()


class Service:
    """The worker's side of every question about targets. Lifetime: the worker process."""

    def __init__(
        self,
        *,
        lines: bool,
        strategy: ReadStrategy | None = None,
        sandbox: Sandbox | None = None,
        fetched: str = "",
    ) -> None:
        """`strategy`: one of `available_strategies`; by default the preferred one.

        `sandbox`: the one that this process entered, if it did. `fetched` as in `find_debug_file`.
        """
        self._lines = lines
        self._sandbox = sandbox or Sandbox()
        self._strategy = strategy
        self._files = OpenFiles(languages(), fetched)
        self._generated = GeneratedCode()
        self._code_caches = CodeCaches(self._files, strategy)
        self._processes: dict[ProcessId, _Process] = {}
        self._has_erred = False

    def answer(self, question: AnyQuestion) -> Answer:
        """The answer to `question`; `Failed` where a target or the system prevents one.

        That a target brings out an error of our own costs that target, and no other.
        """
        try:
            return self._answer(question)
        except SymbolizeError as error:
            return Failed(error.reason, str(error))
        except OSError as error:  # no descriptors left, say: the worker goes on
            what = error.filename or type(question).__name__
            reason = Reason.PERMISSION if isinstance(error, PermissionError) else Reason.UNSUPPORTED
            return Failed(reason, f"{what}: {error.strerror}")
        except Exception as error:
            if not self._has_erred:
                self._has_erred = True
                traceback.print_exc()
            return Failed(Reason.UNSUPPORTED, f"an error of pidflame's: {error!r}")

    def _answer(self, question: AnyQuestion) -> Answer:
        match question:
            case Inspect():
                return Inspected(self.inspect(question.pid, question.start_ticks))
            case ReadCodes():
                read = self.read(question.process, question.frames)
                found = tuple(each if isinstance(each, CodeObject) else each.reason for each in read)
                return Codes(found[: _fitting(found)])
            case ReadThreads():
                named = self.thread_names(question.process, dict(question.wanted))
                return ThreadNames(tuple(NamedThread(tid, name) for tid, name in named.items()))
            case ReadAwaiters():
                return Awaiters(self.task_chain(question.process, question.task, question.identity))
            case Describe():
                return Described(self.describe(question.process, question.cgroup))
            case LookInto():
                return self.look_into(question)
            case NameOffsets():
                return self.names(question)
            case IdentifyFiles():
                return Identified(tuple(self.identify(each, question.mapped_by) for each in question.files))
            case ReadUnwinding():
                return self.unwind_chunks(question)
            case ReadGenerated():
                return self.generated_chunks(question)
            case Forget():
                self.forget(question.process)
                return Forgotten()
            case ReadSandbox():
                return Sandboxed(self._sandbox.parts())

    def inspect(self, pid: int, start_ticks: int | None) -> Inspection:
        """Maps and interpreters of `pid`. Raises `ProcessGone` when it is not that process any more."""
        handle = open_process(pid, start_ticks)
        process = _Process(handle, NowaitReader(handle, self._strategy))
        try:
            found = self._look_into(process)
        except BaseException:
            handle.close()
            raise
        self.forget(handle.id)
        if process.symbolizers:
            if len(self._processes) >= _MAX_PROCESSES:
                self.forget(next(iter(self._processes)))
            self._processes[handle.id] = process
        else:
            handle.close()
        return found

    def _look_into(self, process: _Process) -> Inspection:
        """Inspects `process` and gives it a reader for each interpreter."""
        notes: list[str] = []
        unsupported: list[Unsupported] = []
        interpreters: list[Interpreter] = []
        files: dict[FileKey, FileContents] = {}
        mappings: list[CodeMapping] = []
        for mapping in read_mappings(process.handle, executable_only=True):
            key, file = self._files.find(process.handle, mapping)
            is_memory = file is None and is_memory_file(mapping.path)
            mappings.append(_code_mapping(mapping, None if is_memory else key))
            if file is None:
                continue
            if file.told is not None and file.told not in files:
                files[file.told] = file.contents(file.told)
            notes += file.notes
            unsupported += file.unsupported
            for language, runtime in file.runtimes:
                if language.name not in process.symbolizers:
                    bias = file.elf.bias(mapping.start, mapping.offset)
                    interpreter = runtime.attach(bias)
                    process.runtimes.append((file, bias))
                    self._attach(process, language, runtime, interpreter)
                    interpreters.append(interpreter)
                    notes += [interpreter.note] if interpreter.note else []
        if len(mappings) > MOST_MAPPINGS:
            notes.append(f"code in more than {MOST_MAPPINGS:,} places: some of it has no names")
        return Inspection(
            process.handle.id,
            _most_useful(mappings),
            tuple(interpreters),
            tuple(dict.fromkeys(notes)),
            tuple(dict.fromkeys(unsupported)),
            tuple(files.values()),
        )

    def _attach(
        self, process: _Process, language: Language, runtime: RuntimeFile, interpreter: Interpreter
    ) -> None:
        symbolizer = runtime.symbolizer(interpreter, process.memory, lines=self._lines)
        process.symbolizers[language.name] = symbolizer
        threads = runtime.thread_reader(interpreter, process.memory)
        if threads is not None:
            process.threads.append(threads)
        tasks = runtime.task_reader(interpreter, process.memory, symbolizer)
        if tasks is not None:
            process.tasks.append(tasks)

    def read(self, process: ProcessId, frames: Sequence[RawFrame]) -> list[CodeObject | SymbolizeError]:
        """The code object behind each of `frames`, or why not. Raises `ProcessGone`."""
        known = self._known(process)
        results = [_read(known, frame) for frame in frames]
        for _ in range(_MAX_ROUNDS):
            missing = {
                index: at for index, result in enumerate(results) if (at := _missing(result)) is not None
            }
            if not missing:
                break
            parts = [part for file, bias in known.runtimes for part in file.parts(bias)]
            if not bring(known.handle, known.memory, missing.values(), parts):
                break
            for index in missing:
                results[index] = _read(known, frames[index])
        return results

    def thread_names(self, process: ProcessId, wanted: Mapping[int, int]) -> dict[int, str]:
        """The languages' own names, by tid, of those of the `wanted` threads that have one.

        `wanted` has each thread's pointer by its tid. Raises `ProcessGone`, or why names can't be read (now).
        """
        by_pointer: dict[int, str] = {}
        for reader in self._known(process).threads:
            by_pointer.update(reader.names(wanted.values()))
        found = {tid: by_pointer[pointer] for tid, pointer in wanted.items() if pointer in by_pointer}
        # When a thread ends, another soon has its pointer: a name counts only if its thread still runs.
        return {tid: name for tid, name in found.items() if runs_thread(process.pid, tid)}

    def task_chain(self, process: ProcessId, task: int, identity: int) -> TaskChain:
        """What waits for the task at that address. Raises `ProcessGone`, or why that can't be read (now)."""
        for reader in self._known(process).tasks:
            return reader.chain(task, identity)
        raise Malformed("no interpreter with tasks that say who waits for them")

    def look_into(self, question: LookInto) -> LookedInto:
        """What a file holds. Raises `ProcessGone` if it can't be had, `Malformed`."""
        asked = question
        file = self._files.find_by_name(asked.file, asked.path, asked.mapped_by, asked.forked_by)
        return LookedInto(file.contents(asked.file), kernel_key(file.fd))

    def describe(self, process: ProcessId, cgroup: int) -> Description:
        """What `process` is; if it has exited, what container its `cgroup` is of."""
        try:
            handle = open_process(process.pid, process.start_ticks)
        except ProcessGone:
            return Description(container=container_with_id(cgroup))
        with handle:
            memory = NowaitReader(handle, self._strategy)
            try:
                return describe(handle, memory, cgroup)
            finally:
                memory.forget()

    def names(self, question: NameOffsets) -> Names:
        """What lies at its offsets. Raises OSError; `ProcessGone`, `Malformed` if the file can't be had."""
        file, path, offsets = question.file, question.path, question.offsets
        if file.is_generated:
            return Names(tuple(self._generated.functions(file, path, offsets)))
        if not question.inlines:
            functions, build_id = self._files.functions(file, path, offsets, question.mapped_by)
            return Names(tuple(functions), build_id=build_id.hex())
        found, build_id = self._files.inlined(file, path, offsets, question.mapped_by)
        inlined = tuple(frames for _, frames in found)
        return Names(tuple(function for function, _ in found), inlined, build_id.hex())

    def identify(self, file: MappedFile, mapped_by: int) -> IdentifiedFile | None:
        """What the kernel knows `file` by, which that process may map; None if it can't be had."""
        try:
            return self._files.identify(file.file, file.path, mapped_by)
        except (Malformed, ProcessGone):
            return None

    def unwind_chunks(self, question: ReadUnwinding) -> UnwindChunks:
        """As many chunks of its unwind table as an answer has. Raises `Malformed`, `ProcessGone`."""
        table = self._files.unwind_table(question.file, question.path, question.mapped_by)
        at = max(question.first, 0) * CHUNK_BYTES
        if at + _MOST_TABLE_BYTES >= len(table):
            self._files.drop_unwind_table(question.file)
        return UnwindChunks(len(table) // CHUNK_BYTES, table[at : at + _MOST_TABLE_BYTES])

    def generated_chunks(self, question: ReadGenerated) -> GeneratedChunks:
        """As many chunks as an answer has. Raises as `CodeCaches.table` does."""
        began_s = time.process_time()
        base, chunks, _ = self._code_caches.table(question.process, is_new=not question.first)
        at = max(question.first, 0) * CHUNK_BYTES
        if at + _MOST_TABLE_BYTES >= len(chunks):
            self._code_caches.drop_table(question.process)
        part = chunks[at : at + _MOST_TABLE_BYTES]
        return GeneratedChunks(base, time.process_time() - began_s, len(chunks) // CHUNK_BYTES, part)

    def forget(self, process: ProcessId) -> None:
        """Gives back what is held for `process`, which exited or replaced its program."""
        known = self._processes.pop(process, None)
        if known is not None:
            known.close()

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


def _most_useful(mappings: Sequence[CodeMapping]) -> tuple[CodeMapping, ...]:
    """As many of these as an inspection has, in their order: to take in one of 60,000 took 0.2 s.

    Names of files take turns, so that none of the few that a usual program maps is left out for another.
    """
    if len(mappings) <= MOST_MAPPINGS:
        return tuple(mappings)
    turns: Counter[str] = Counter()
    by_turn: list[tuple[int, CodeMapping]] = []
    for mapping in mappings:
        by_turn.append((turns[mapping.path], mapping))
        turns[mapping.path] += 1
    by_turn.sort(key=lambda item: item[0])
    return tuple(sorted((mapping for _, mapping in by_turn[:MOST_MAPPINGS]), key=lambda each: each.start))


def _fitting(found: Sequence[CodeObject | Reason]) -> int:
    """How many of these fit into one answer, at least one. Another process has its turn before the rest."""
    size = 0
    for count, each in enumerate(found):
        if isinstance(each, CodeObject):
            size += len(each.name) + len(each.file) + _LINE_CHARACTERS * len(each.starts)
        if size > _MOST_CHARACTERS:
            return max(count, 1)
    return len(found)


def _read(known: _Process, frame: RawFrame) -> CodeObject | SymbolizeError:
    symbolizer = known.symbolizers.get(LANGUAGE_OF_KIND.get(capture_kind(frame.address), ""))
    if symbolizer is None:
        return Malformed(f"no symbolizer for frame {frame.address:#x}")
    try:
        return symbolizer.read(frame)
    except SymbolizeError as error:
        return error


def _missing(result: CodeObject | SymbolizeError) -> int | None:
    """The address of the page that `result` lacks, if it lacks one."""
    if isinstance(result, ReadFault) and result.fault is FaultReason.WOULD_FAULT:
        return result.address
    return None


def _code_mapping(mapping: maps.Mapping, file: FileKey | None) -> CodeMapping:
    # The vDSO's addresses count from its start, whatever offset maps gives for it.
    offset = 0 if mapping.path == VDSO_PATH else mapping.offset
    return CodeMapping(mapping.start, mapping.end, offset, file, mapping.path)
