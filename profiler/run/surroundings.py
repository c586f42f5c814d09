"""What the programs of a recording need of it, in one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from profiler.capture.records import Counts, RawSample
from profiler.run.allowance import Allowances
from profiler.run.deferred import Deferred
from profiler.run.mappings import KnownFiles
from profiler.run.stacks import CodeMap, Element, Partial
from symbolizers.asker import Ask
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import Frame
from symbolizers.inspection import FileKey, IdentifiedFile
from symbolizers.process.identity import ProcessId

WHOLE_ONLY = frozenset(Reason)
COSTLY = frozenset((Reason.WOULD_FAULT, Reason.STALLED, Reason.UNSUPPORTED))
"""The reasons for which a frame without a name costs its stack, unless people want it otherwise.

What would fault says nothing about what ran, and a read that is tried again may still succeed. A code object
that is gone for good (`Reason.CHANGED`, `Reason.EXITED`) is one frame: a marker can stand in its place.
"""


class Configure(Protocol):
    """As `SampleSource.configure`."""

    def __call__(
        self, pid: int, start_ns: int, interpreters: tuple[Interpreter, ...], *, user: int
    ) -> bool: ...


class Tables(Protocol):
    """As `Unwinding`."""

    def follow(
        self, sample: RawSample, code: CodeMap, user: int, then: Callable[[RawSample], None]
    ) -> RawSample | None: ...

    def learn(self, file: FileKey, identified: IdentifiedFile) -> None: ...

    def preload(self, files: Iterable[FileKey]) -> None: ...

    def lacks_generated(self, process: ProcessId, user: int) -> bool: ...

    def forget(self, process: ProcessId) -> None: ...


class Surroundings(Struct, frozen=True):
    """What programs need of a recording. Lifetime: the recording.

    `files` knows what programs map. `ask` puts a question to the worker; `emit` takes finished stacks, root
    first, and what each lacks, and returns what counts equal ones; `drop` takes lost samples; `ended` is told
    which processes are over. A frame without a name costs the whole stack if the reason is one of `costly`.
    `note` takes what people should know about a process, `runs` what it interprets; `blame` takes the
    function next to a frame that has no name; `configure` tells the kernel which walkers it needs, and
    `tables` are told which unwind tables. `lines` asks for the lines that run. `allowances` say how much may
    be held for whom, and `deferred` holds samples of which all is known.
    """

    files: KnownFiles
    ask: Ask
    emit: Callable[[RawSample, tuple[Element, ...], Partial | None], Counts | None]
    drop: Callable[[RawSample, Reason], None]
    ended: Callable[[ProcessId], None]
    note: Callable[[ProcessId, str], None]
    runs: Callable[[ProcessId, tuple[Interpreter, ...]], None]
    blame: Callable[[ProcessId, Frame], None]
    configure: Configure
    tables: Tables
    lines: bool
    costly: frozenset[Reason]
    allowances: Allowances
    deferred: Deferred
