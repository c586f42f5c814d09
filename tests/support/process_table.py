"""A `ProcessTable` among strict fakes: what it asks is kept, what it hands on is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from profiler.capture.records import CodeName, ProcessEvent, RawSample, Repeated, StackCopy
from profiler.run.allowance import Allowances
from profiler.run.deferred import Deferred
from profiler.run.mappings import KnownFiles
from profiler.run.processes import ProcessTable
from profiler.run.stacks import CodeMap, Element, Partial
from profiler.run.surroundings import COSTLY, Surroundings
from symbolizers.base import Interpreter
from symbolizers.errors import Reason, SymbolizeError
from symbolizers.frame import CAPTURE_KIND_SHIFT, MARKER, CodeObject, Frame, RawFrame
from symbolizers.inspection import CodeMapping, FileKey, IdentifiedFile, Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Answer, Codes, Question, ReadCodes
from symbolizers.taken import TakenName
from tests.support.asked import Asked, Questions, Said
from tests.support.samples import kept, raw_sample, told_file

PID = 7
START_NS = 1_000_000_000
ID = ProcessId.from_start_ns(PID, START_NS)
MS = 1_000_000
SECOND = 1000 * MS
LOOP = (0x1800, 0x1900)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", 0x4000, LOOP)
MAPPINGS = (CodeMapping(0x1000, 0x2000, 0, told_file(5), "/bin/python3"),)
NATIVE, OUTSIDE = 0x1100, 0x9000
NOT_INSPECTED = Frame(MARKER, "[not inspected]")
PYTHON_CODE = 1 << 56
NONE: Mapping[int, SymbolizeError] = {}


def raw_frame(number: int, *, position: int = 0) -> RawFrame:
    """The frame of the code object with this number; of a negative one, the annotation of that kind."""
    if number < 0:
        return RawFrame(-number << CAPTURE_KIND_SHIFT | 0x7000, 0, 0, 9)
    return RawFrame(PYTHON_CODE | number << 8, position, number)


def code_of(frame: RawFrame) -> CodeObject:
    """What a reader would find behind `frame`: a function of two lines."""
    name = f"function_{frame.checksum}"
    return CodeObject("python", name, "app.py", 10, (0, 8), (10, 11))


def named(number: int) -> Frame:
    return Frame("python", f"function_{number}", "app.py", 10)


class _Counts:
    """What counts the equals of a sample that was handed on."""

    def __init__(self, table: Table, elements: tuple[Element, ...], time_ns: int) -> None:
        self._table, self._elements = table, elements
        self.is_open = True
        self.last_ns = time_ns

    def again(self, repeated: Repeated) -> None:
        assert self.is_open
        self._table.counted[self._elements] += len(repeated.taken)
        self.last_ns = repeated.time_ns

    def close(self) -> None:
        self.is_open = False


class Table:
    """The table and everything around it, each sample told apart by its time."""

    def __init__(
        self, *, lines: bool = False, costly: frozenset[Reason] = COSTLY, defers: bool = False
    ) -> None:
        self.partial: dict[int, Partial] = {}
        self.questions = Questions()
        self.emitted: dict[int, tuple[Element, ...]] = {}
        self.counted: Counter[tuple[Element, ...]] = Counter()
        """How many more samples had these elements, without being looked at."""
        self.counting: list[_Counts] = []
        """What has ever counted such samples."""
        self.dropped: dict[int, Reason] = {}
        self.ended: list[ProcessId] = []
        self.notes: list[tuple[ProcessId, str]] = []
        self.runs: list[tuple[ProcessId, tuple[Interpreter, ...]]] = []
        self.blamed: list[tuple[ProcessId, Frame]] = []
        self.configured: list[tuple[int, int, tuple[Interpreter, ...]]] = []
        self.unwound: list[tuple[Sequence[int], CodeMap, int, int]] = []
        self.followed: list[Callable[[RawSample], None]] = []
        self.lacking: list[tuple[ProcessId, int]] = []
        self.forgotten: list[ProcessId] = []
        self.now_ns = START_NS
        self.allowances = Allowances()
        self.deferred = Deferred()
        self.deferred.is_used = defers
        self.table = ProcessTable(
            Surroundings(
                files=KnownFiles(),
                ask=self.questions.ask,
                emit=self._emit,
                drop=self._drop,
                ended=self.ended.append,
                note=lambda process, text: self.notes.append((process, text)),
                runs=lambda process, interpreters: self.runs.append((process, interpreters)),
                blame=lambda process, function: self.blamed.append((process, function)),
                configure=self._configure,
                tables=self,
                lines=lines,
                costly=costly,
                allowances=self.allowances,
                deferred=self.deferred,
            )
        )

    @property
    def open(self) -> list[Question[Answer]]:
        """The questions that are open."""
        return [asked.question for asked in self.questions.open]

    def _configure(
        self, pid: int, start_ns: int, interpreters: tuple[Interpreter, ...], *, user: int
    ) -> bool:
        self.configured.append((pid, start_ns, interpreters))
        return True

    def follow(
        self, sample: RawSample, code: CodeMap, user: int, then: Callable[[RawSample], None]
    ) -> RawSample | None:
        """As `Unwinding.follow`: a sample with a copy waits until the test calls what is in `followed`."""
        self.unwound.append((sample.user, code, sample.process.pid, user))
        if sample.copy is None:
            return sample
        self.followed.append(then)
        return None

    def learn(self, file: FileKey, identified: IdentifiedFile) -> None:
        """As `Unwinding.learn`."""

    def preload(self, files: Iterable[FileKey]) -> None:
        """As `Unwinding.preload`."""

    def lacks_generated(self, process: ProcessId, user: int) -> bool:
        """As `Unwinding.lacks_generated`."""
        self.lacking.append((process, user))
        return True

    def forget(self, process: ProcessId) -> None:
        """As `Unwinding.forget`."""
        self.forgotten.append(process)

    def _emit(self, sample: RawSample, elements: tuple[Element, ...], partial: Partial | None) -> _Counts:
        assert sample.time_ns not in self.settled()
        self.emitted[sample.time_ns] = elements
        if partial is not None:
            self.partial[sample.time_ns] = partial
        self.counting.append(_Counts(self, elements, sample.time_ns))
        return self.counting[-1]

    def _drop(self, sample: RawSample, reason: Reason) -> None:
        assert sample.time_ns not in self.settled()
        self.dropped[sample.time_ns] = reason

    def settled(self) -> set[int]:
        return {*self.emitted, *self.dropped}

    def sample(
        self,
        *codes: int,
        pid: int = PID,
        user: tuple[int, ...] = (),
        status: int = 0,
        after_ns: int = MS,
        position: int = 0,
        start_ns: int = START_NS,
        parent: int = 0,
        uid: int = 0,
        walkers: int = 1,
        user_end: int = 0,
        lacks_table: bool = False,
        stack: bytes = b"",
        copy: StackCopy | None = None,
    ) -> int:
        """Takes in a sample (of code objects, leaf first) and gives its time, which tells it apart."""
        self.now_ns += after_ns
        self.table.sample(
            raw_sample(
                pid=pid,
                time_ns=self.now_ns,
                start_ns=start_ns,
                walk_status=status,
                interpreter=tuple(raw_frame(code, position=position) for code in codes),
                user=user,
                parent=ProcessId.from_start_ns(parent, START_NS),
                uid=uid,
                walkers=walkers,
                user_end=user_end,
                lacks_table=lacks_table,
                copy=copy,
                stack=stack,
            )
        )
        return self.now_ns

    def again(self, sample: RawSample, count: int = 1) -> int:
        """Takes in so many samples that equal an earlier one; the time of the last."""
        self.now_ns += MS
        repeated = Repeated(kept(sample), ((0, self.now_ns),) * count)
        self.table.again(repeated)
        return self.now_ns

    def name(self, number: int, name: str | None, *, file: str | None = "app.py") -> None:
        """The kernel names the code object of that number; None: it left that to the reader."""
        frame = raw_frame(number)
        texts = tuple(None if text is None else text.encode() for text in (name, file))
        taken = TakenName(frame.address, frame.checksum, 10, 0, (*texts, None, None))
        self.table.name(CodeName(ID, START_NS, taken))

    def event(self, *, exited: bool, pid: int = PID, after_ns: int = MS, start_ns: int = START_NS) -> None:
        self.now_ns += after_ns
        process = ProcessId.from_start_ns(pid, start_ns)
        self.table.event(ProcessEvent(process, self.now_ns, start_ns, exited))

    def take(self) -> Asked:
        """The only question that is open."""
        return self.questions.take()

    def answer(self, said: Said) -> None:
        """Answers the only open question."""
        self.take().answer(said)

    def inspected(self, *interpreters: Interpreter, notes: tuple[str, ...] = ()) -> None:
        """Answers the only open question, which is about the process."""
        self.answer(Inspection(ID, MAPPINGS, interpreters or (INTERPRETER,), notes))

    def read(self, failures: Mapping[int, SymbolizeError] = NONE) -> list[int]:
        """Answers the questions for code objects that are open now, those in `failures` with an error.

        Returns the numbers of what was asked for. Questions that the answers lead to stay open.
        """
        numbers: list[int] = []
        for asked in self.questions.take_all():
            frames = frames_of(asked)
            found = [
                failures[frame.checksum].reason if frame.checksum in failures else code_of(frame)
                for frame in frames
            ]
            asked.answer(Codes(tuple(found)))
            numbers += [frame.checksum for frame in frames]
        return numbers


def frames_of(asked: Asked) -> tuple[RawFrame, ...]:
    """The frames in a question for code objects."""
    assert isinstance(asked.question, ReadCodes)
    assert asked.soon
    return asked.question.frames


def known(
    *codes: int, lines: bool = False, costly: frozenset[Reason] = COSTLY, defers: bool = False
) -> Table:
    """A table that knows the process, and these code objects of it."""
    table = Table(lines=lines, costly=costly, defers=defers)
    table.sample()
    table.inspected()
    if codes:
        table.sample(*codes)
        table.read()
    return table
