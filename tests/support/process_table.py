"""A `ProcessTable` among strict fakes: what it asks is kept, what it hands on is counted."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.capture.records import ProcessEvent, RawSample
from profiler.run.processes import ProcessTable, Subject
from profiler.run.stacks import Element
from symbolizers.base import Interpreter
from symbolizers.errors import Reason, SymbolizeError
from symbolizers.frame import CAPTURE_KIND_SHIFT, CodeObject, Frame, RawFrame
from symbolizers.inspection import CodeMapping, Inspection
from symbolizers.process.deadline import Reply, Request
from symbolizers.process.identity import ProcessId

PID = 7
START_NS = 1_000_000_000
ID = ProcessId.from_start_ns(PID, START_NS)
MS = 1_000_000
LOOP = (0x1800, 0x1900)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", 0x4000, LOOP)
MAPPINGS = (CodeMapping(0x1000, 0x2000, 0, (8, 1, 5), "/bin/python3"),)
NATIVE, OUTSIDE = 0x1100, 0x9000
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


def named(number: int, line: int = 10) -> Frame:
    return Frame("python", f"function_{number}", "app.py", line)


class Table:
    """The table and everything around it, each sample told apart by its time."""

    def __init__(self, *, lines: bool = False) -> None:
        self.requests: list[Request] = []
        self.urgent: list[bool] = []
        self.emitted: dict[int, tuple[Element, ...]] = {}
        self.dropped: dict[int, Reason] = {}
        self.notes: list[tuple[ProcessId, str]] = []
        self.configured: list[tuple[int, int, tuple[Interpreter, ...]]] = []
        self.now_ns = START_NS
        self.table = ProcessTable(
            submit=self._submit,
            emit=self._emit,
            drop=self._drop,
            note=lambda process, text: self.notes.append((process, text)),
            configure=lambda pid, start_ns, found: self.configured.append((pid, start_ns, found)),
            lines=lines,
        )

    def _submit(self, request: Request, urgent: bool) -> None:
        self.requests.append(request)
        self.urgent.append(urgent)

    def _emit(self, sample: RawSample, elements: tuple[Element, ...]) -> None:
        assert sample.time_ns not in self.settled()
        self.emitted[sample.time_ns] = elements

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
    ) -> int:
        """Takes in a sample (of code objects, leaf first) and gives its time, which tells it apart."""
        self.now_ns += after_ns
        interpreter = tuple(raw_frame(code, position=position) for code in codes)
        stacks = (interpreter, user, ())
        sample = RawSample(pid, pid, 0, self.now_ns, start_ns, b"app", status, *stacks, parent, START_NS)
        self.table.sample(sample)
        return self.now_ns

    def event(self, *, exited: bool, pid: int = PID, after_ns: int = MS, start_ns: int = START_NS) -> None:
        self.now_ns += after_ns
        self.table.event(ProcessEvent(pid, self.now_ns, start_ns, exited))

    def take(self) -> Request:
        """The only question that is open."""
        (request,) = self.requests
        self.requests.clear()
        return request

    def answer(self, value: object) -> Request:
        """Answers the only open question."""
        request = self.take()
        self.table.reply(Reply(request, value))
        return request

    def inspected(self, *interpreters: Interpreter, notes: tuple[str, ...] = ()) -> None:
        """Answers the open question what the process is."""
        assert self.requests[0].method == "inspect"
        self.answer(Inspection(ID, MAPPINGS, interpreters or (INTERPRETER,), notes))

    def read(self, failures: Mapping[int, SymbolizeError] = NONE) -> list[int]:
        """Answers the questions for code objects that are open now, those in `failures` with an error.

        The numbers of what was asked for; questions that come of the answers stay open.
        """
        asked: list[int] = []
        for request in self.take_all():
            frames = frames_of(request)
            values = [failures.get(frame.checksum) or code_of(frame) for frame in frames]
            self.table.reply(Reply(request, values))
            asked += [frame.checksum for frame in frames]
        return asked

    def take_all(self) -> list[Request]:
        """The questions that are open now."""
        requests, self.requests = self.requests, []
        return requests


def frames_of(request: Request) -> tuple[RawFrame, ...]:
    assert request.method == "read"
    process, frames = request.arguments
    assert isinstance(request.subject, Subject)
    assert process == request.subject.process
    assert isinstance(frames, tuple)
    return frames
