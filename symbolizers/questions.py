"""Every question that the worker is asked and every answer that it gives: a frozen type each.

Both processes import this file. Between them a question or an answer travels as JSON text, so that an
answer which a target has shaped is data and nothing else. JSON keeps lone surrogates, which names of a
target may have.

    question        answer         about
    Inspect         Inspected      a process: mappings, interpreters
    ReadCodes       Codes          the code objects behind captured frames of a process
    ReadThreads     ThreadNames    what a language calls the threads of a process
    ReadAwaiters    Awaiters       what waits for an asynchronous task of a process
    Describe        Described      a process: its program, command line and container
    LookInto        LookedInto     a mapped file: interpreters
    NameOffsets     Names          symbols of a mapped file
    IdentifyFiles   Identified     mapped files: what the kernel knows them by
    ReadUnwinding   UnwindChunks   the unwind table of a mapped file
    ReadGenerated   GeneratedChunks the unwind table of the code that a process has generated
    Forget          Forgotten      a process that has exited
    ReadSandbox     Sandboxed      the worker itself: what it gave up
    any             Failed         the same, where there is no answer
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from symbolizers.base import Interpreter, TaskChain
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, INLINED, MARKER, NATIVE, CodeObject, Frame, Function, RawFrame
from symbolizers.inspection import (
    CHUNK_BYTES,
    MOST_CHUNKS,
    FileContents,
    FileKey,
    IdentifiedFile,
    Inspection,
    KernelKey,
)
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from symbolizers.process.sandbox import Part
from symbolizers.registry import LANGUAGES


class Failed(msgspec.Struct, frozen=True, tag=True):
    """There is no answer: how to count samples that needed one, and what happened, in words."""

    reason: Reason
    detail: str


class Inspected(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Inspect`."""

    inspection: Inspection


class Codes(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadCodes`: for each frame its code object, or why it has no name.

    Where all would be too much for one answer, it is about the first frames only, about one at least.
    """

    found: tuple[CodeObject | Reason, ...]


class NamedThread(NamedTuple):
    """A thread (by tid) and what its language calls it."""

    tid: int
    name: str


class ThreadNames(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadThreads`: those of the threads that have a name."""

    named: tuple[NamedThread, ...]


class Awaiters(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadAwaiters`."""

    chain: TaskChain


class Described(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Describe`; empty for a process of which nothing is known any more."""

    description: Description


class LookedInto(msgspec.Struct, frozen=True, tag=True):
    """The answer to `LookInto`; `key` as in `Identified`."""

    contents: FileContents
    key: KernelKey


class Names(msgspec.Struct, frozen=True, tag=True):
    """The answer to `NameOffsets`: for each offset the function there, by offsets.

    If that was asked for, `inlined` has what is inlined at each, the outermost first; else it is empty. The
    `build_id` is that of the file, in hexadecimal; empty where it has none.
    """

    functions: tuple[Function, ...]
    inlined: tuple[tuple[Frame, ...], ...] = ()
    build_id: str = ""


class Identified(msgspec.Struct, frozen=True, tag=True):
    """The answer to `IdentifyFiles`: one for each; None for a file that can't be had."""

    files: tuple[IdentifiedFile | None, ...]


class UnwindChunks(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadUnwinding`: some chunks of the table, see `make_chunks`, and how many there are."""

    total: int
    chunks: bytes


class GeneratedChunks(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadGenerated`: as `UnwindChunks`, with offsets from the address `base` on.

    `cost_s`: the CPU seconds that it took to make the table.
    """

    base: int
    cost_s: float
    total: int
    chunks: bytes


class Forgotten(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Forget`."""


class Sandboxed(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ReadSandbox`."""

    parts: tuple[Part, ...]


Answer = (
    Inspected
    | Codes
    | ThreadNames
    | Awaiters
    | Described
    | LookedInto
    | Names
    | Identified
    | UnwindChunks
    | GeneratedChunks
    | Forgotten
    | Sandboxed
    | Failed
)

AnswerT = TypeVar("AnswerT", bound=Answer)
AnswerT_co = TypeVar("AnswerT_co", bound=Answer, covariant=True)

Lane = tuple["int | tuple[int, ...]", ...]
"""What a question is about, as far as fairness goes: a pid, or a file. Lanes take turns."""


class Question(Protocol[AnswerT_co]):
    """What every question says about itself. `AnswerT_co` is the answer where there is one."""

    def lane(self) -> Lane:
        """What it is about."""

    def answered_by(self) -> type[AnswerT_co]:
        """The type of its answer."""

    def accepts(self, answer: Answer) -> bool:
        """Whether an answer of that type is about what was asked. A worker may have been taken over."""


class _OfProcess(msgspec.Struct, frozen=True):
    """A question about a process that was inspected."""

    process: ProcessId

    def lane(self) -> Lane:
        return (self.process.pid,)


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """What is mapped into the process `pid`, and which interpreters run in it.

    `start_ticks`: of the process that is meant; None for whichever has the pid now.
    """

    pid: int
    start_ticks: int | None = None

    def lane(self) -> Lane:
        return (self.pid,)

    def answered_by(self) -> type[Inspected]:
        return Inspected

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, Inspected):
            return False
        found = answer.inspection
        process = found.process
        is_it = process.pid == self.pid and self.start_ticks in (None, process.start_ticks)
        is_sane = 0 <= process.start_ns() < _WORD_LIMIT
        return is_it and is_sane and _are_known((*found.interpreters, *_interpreters_in(found.files)))


class ReadCodes(_OfProcess, frozen=True, tag=True):
    """The code objects that `frames` were captured from."""

    frames: tuple[RawFrame, ...]

    def answered_by(self) -> type[Codes]:
        return Codes

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, Codes) or not 0 < len(answer.found) <= len(self.frames):
            return False
        return all(found.kind in _KINDS for found in answer.found if isinstance(found, CodeObject))


class WantedThread(NamedTuple):
    """A thread whose name is asked for: languages know it by its thread pointer."""

    tid: int
    thread_pointer: int


class ReadThreads(_OfProcess, frozen=True, tag=True):
    """What the language calls these threads."""

    wanted: tuple[WantedThread, ...]

    def answered_by(self) -> type[ThreadNames]:
        return ThreadNames

    def accepts(self, answer: Answer) -> bool:
        wanted = {each.tid for each in self.wanted}
        return isinstance(answer, ThreadNames) and all(each.tid in wanted for each in answer.named)


class ReadAwaiters(_OfProcess, frozen=True, tag=True):
    """What waits for the task at address `task`, if it is the one that had this `identity`."""

    task: int
    identity: int

    def answered_by(self) -> type[Awaiters]:
        return Awaiters

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, Awaiters):
            return False
        frames = answer.chain.outermost, *(frame for frame, _ in answer.chain.frames)
        return all(frame.kind in _KINDS for frame in frames)


class Describe(_OfProcess, frozen=True, tag=True):
    """What it is. `cgroup`: the id of its cgroup in the unified hierarchy, if it has exited by then."""

    cgroup: int

    def answered_by(self) -> type[Described]:
        return Described

    def accepts(self, answer: Answer) -> bool:
        return isinstance(answer, Described)


class _OfFile(msgspec.Struct, frozen=True):
    """A question about `file`, mapped as `path`."""

    file: FileKey
    path: str

    def lane(self) -> Lane:
        return self.file


class LookInto(_OfFile, frozen=True, tag=True):
    """What it holds. It may be a file that no process maps any more. `mapped_by` as in `NameOffsets`.

    `forked_by`: the pid of the process that forked that one, and mostly has the same root.
    """

    mapped_by: int | None = None
    forked_by: int | None = None

    def answered_by(self) -> type[LookedInto]:
        return LookedInto

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, LookedInto):
            return False
        contents = answer.contents
        return contents.file == self.file and _is_sane(answer.key) and _are_known(contents.interpreters)


class NameOffsets(_OfFile, frozen=True, tag=True):
    """Which functions lie at `offsets` (bytes) of it. `mapped_by`: the pid of a process that may map it.

    With `inlines`, which functions are inlined there, too, and the source lines.
    """

    offsets: tuple[int, ...]
    mapped_by: int | None = None
    inlines: bool = False

    def answered_by(self) -> type[Names]:
        return Names

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, Names) or len(answer.functions) != len(self.offsets):
            return False
        if not _BUILD_ID.fullmatch(answer.build_id):
            return False
        if len(answer.inlined) not in ((len(self.offsets), 0) if self.inlines else (0,)):
            return False
        if any(frame.kind != INLINED for frames in answer.inlined for frame in frames):
            return False
        return all(
            frame.kind in (NATIVE, GENERATED) and 0 <= start <= at < end
            for at, (frame, start, end) in zip(self.offsets, answer.functions, strict=True)
        )


class MappedFile(NamedTuple):
    """A file that is mapped as `path`."""

    file: FileKey
    path: str


class IdentifyFiles(msgspec.Struct, frozen=True, tag=True):
    """What the kernel knows these by, one at least. `mapped_by` as in `NameOffsets`."""

    files: tuple[MappedFile, ...]
    mapped_by: int

    def lane(self) -> Lane:
        return (self.mapped_by,)

    def answered_by(self) -> type[Identified]:
        return Identified

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, Identified) or len(answer.files) != len(self.files):
            return False
        return all(file is None or _is_sane(file.key) for file in answer.files)


class ReadUnwinding(_OfFile, frozen=True, tag=True):
    """Its unwind table, from chunk number `first` on. `mapped_by` as in `NameOffsets`."""

    first: int
    mapped_by: int | None = None

    def answered_by(self) -> type[UnwindChunks]:
        return UnwindChunks

    def accepts(self, answer: Answer) -> bool:
        return isinstance(answer, UnwindChunks) and _is_part(answer, self.first)


class ReadGenerated(_OfProcess, frozen=True, tag=True):
    """The unwind table of the code that it has generated, from chunk number `first` on.

    Only a runtime that describes its code has one. With 0 the table is made, as of now.
    """

    first: int

    def answered_by(self) -> type[GeneratedChunks]:
        return GeneratedChunks

    def accepts(self, answer: Answer) -> bool:
        if not isinstance(answer, GeneratedChunks) or not 0 < answer.base < _WORD_LIMIT:
            return False
        if not 0 <= answer.cost_s < _LONGEST_S:
            return False
        return _is_part(answer, self.first)


class Forget(_OfProcess, frozen=True, tag=True):
    """The process has exited: what is held for it can be given back."""

    def answered_by(self) -> type[Forgotten]:
        return Forgotten

    def accepts(self, answer: Answer) -> bool:
        return isinstance(answer, Forgotten)


class ReadSandbox(msgspec.Struct, frozen=True, tag=True):
    """Which parts of its sandbox hold in the worker, as it finds them in force when it answers."""

    def lane(self) -> Lane:
        return ()

    def answered_by(self) -> type[Sandboxed]:
        return Sandboxed

    def accepts(self, answer: Answer) -> bool:
        return isinstance(answer, Sandboxed)


AnyQuestion = (
    Inspect
    | ReadCodes
    | ReadThreads
    | ReadAwaiters
    | Describe
    | LookInto
    | NameOffsets
    | IdentifyFiles
    | ReadUnwinding
    | ReadGenerated
    | Forget
    | ReadSandbox
)


_LANGUAGES = frozenset(language.name for language in LANGUAGES)
_KINDS = _LANGUAGES | {NATIVE, MARKER}
_WORD_LIMIT = 1 << 64
_LONGEST_S = 1e6
_BUILD_ID = re.compile("[0-9a-f]{0,128}")


def _interpreters_in(files: Iterable[FileContents]) -> list[Interpreter]:
    return [interpreter for file in files for interpreter in file.interpreters]


def _is_part(answer: UnwindChunks | GeneratedChunks, first: int) -> bool:
    """Whether it can be the chunks of a table from number `first` on."""
    count, rest = divmod(len(answer.chunks), CHUNK_BYTES)
    left = answer.total - first
    return not rest and 0 <= answer.total <= MOST_CHUNKS and count <= left and bool(count or not left)


def _is_sane(key: KernelKey) -> bool:
    """Whether a file can have it."""
    (major, minor), inode = key.device, key.inode
    is_file = 0 <= major < 1 << 12 and 0 <= minor < 1 << 20 and 0 <= inode < _WORD_LIMIT
    return is_file and 0 <= key.changed_ns < _WORD_LIMIT


def _are_known(interpreters: Iterable[Interpreter]) -> bool:
    """Whether they are of languages that there are, at addresses that there are."""
    return all(
        each.language in _LANGUAGES and min(addresses) >= 0 and max(addresses) < _WORD_LIMIT
        for each in interpreters
        for addresses in [(each.root, *each.loop, *each.cold_loop)]
    )


class NotUnderstood(ValueError):
    """A message that is no question, or no answer to the one that was asked."""


def encode(message: Question[Answer] | Answer) -> bytes:
    """The bytes of a question or an answer."""
    return json.dumps(msgspec.to_builtins(message)).encode("ascii")


def decode_question(data: bytes) -> AnyQuestion:
    """The question in `data`. Raises `NotUnderstood`."""
    try:
        question: AnyQuestion = msgspec.convert(json.loads(data), AnyQuestion)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(str(error)) from None
    return question


def decode_answer(data: bytes, question: Question[AnswerT]) -> AnswerT | Failed:
    """The answer to `question` in `data`, checked field by field. Raises `NotUnderstood`."""
    try:
        answer: Answer = msgspec.convert(json.loads(data), Answer)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(str(error)) from None
    if isinstance(answer, Failed) or (
        isinstance(answer, question.answered_by()) and question.accepts(answer)
    ):
        return answer
    raise NotUnderstood(f"{type(answer).__name__} is no answer to {type(question).__name__}")
