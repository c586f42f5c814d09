"""What a sample costs in user space, by streams of made-up records: ``python -m tests.bench.replay``.

The records go through decoding, the process table, a worker that answers at once, and the counting, as in a
session; what is measured is the CPU time of all that but the worker's. As in real programs, most stacks were
seen before. Prints Markdown.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from profiler.capture.header import read_header
from profiler.capture.known_stacks import KnownStacks
from profiler.capture.records import CodeName, ProcessEvent, RawSample, Repeated
from profiler.run.aggregate import Aggregator
from profiler.run.allowance import Allowances
from profiler.run.mappings import KnownFiles
from profiler.run.processes import ProcessTable
from profiler.run.stacks import CodeMap
from profiler.run.surroundings import COSTLY, Surroundings
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.inspection import CodeMapping, FileKey, Inspection
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Codes, Failed, Inspect, Inspected, ReadCodes
from tests.support.asked import Questions
from tests.support.encoded import encoded, encoded_repeat
from tests.support.samples import raw_sample, told_file

START_NS = 1_000_000_000
DEPTH = 30
CODES = 100
"""Code objects of a process: with 10,000 processes there are a million."""
STACKS = 20
"""Stacks that a process shows again and again."""
LOOP = (0x1800, 0x1900)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", 0x4000, LOOP)
MAPPINGS = (CodeMapping(0x1000, 0x2000, 0, told_file(5), "/bin/python3"),)
CPUS = 256
MOST_STACKS = 2048 * CPUS
"""As in kernel_source.py."""
_HEAD_BYTES = read_header("records.h").structs["sample_head"].layout.size
STACK_AT = slice(_HEAD_BYTES - 16, _HEAD_BYTES)
"""Where the hash is in a whole record."""
LOOK_SAMPLES = 200
"""What comes between two looks into the ring buffer: 0.1 s of two busy CPUs at 1,000 Hz."""


class _NoTables:
    """No record lacks an unwind table."""

    def want(self, user: Sequence[int], code: CodeMap, pid: int, uid: int) -> None:
        raise AssertionError

    def prepare(self, file: FileKey, path: str, uid: int) -> None:
        raise AssertionError


class Pipeline:
    """The stages of a session behind the ring buffer, and a worker that knows all answers."""

    def __init__(self, forget: Callable[[bytes], None]) -> None:
        self.cpu_ns = 0
        self.aggregator = Aggregator()
        self._known = KnownStacks(forget, CPUS)
        self._questions = Questions()
        self._table = ProcessTable(
            Surroundings(
                files=KnownFiles(),
                ask=self._questions.ask,
                emit=self.aggregator.add,
                drop=self.aggregator.drop,
                ended=self.aggregator.ended,
                note=self.aggregator.note,
                runs=self.aggregator.runs,
                blame=self.aggregator.blame,
                configure=lambda *_, user: True,
                tables=_NoTables(),
                lines=False,
                native=False,
                costly=COSTLY,
                allowances=Allowances(),
            )
        )

    def look(self, records: Sequence[bytes]) -> None:
        """Takes in what one look into the ring buffer finds, and the answers that it leads to."""
        began_ns = time.process_time_ns()
        for record in self._known.decode(records):
            if isinstance(record, RawSample):
                self._table.sample(record)
            elif isinstance(record, Repeated):
                self._table.again(record)
            elif isinstance(record, CodeName):
                self._table.name(record)
            elif isinstance(record, ProcessEvent):
                self._table.event(record)
        self.cpu_ns += time.process_time_ns() - began_ns
        while self._questions.open:
            for asked in self._questions.take_all():
                answer = _answer(asked.question)
                began_ns = time.process_time_ns()
                asked.then(answer)
                self.cpu_ns += time.process_time_ns() - began_ns


def _answer(question: object) -> Inspected | Codes | Failed:
    if isinstance(question, Inspect):
        process = ProcessId.from_start_ns(question.pid, START_NS)
        return Inspected(Inspection(process, MAPPINGS, (INTERPRETER,), ()))
    if isinstance(question, ReadCodes):
        return Codes(tuple(_code(frame) for frame in question.frames))
    return Failed(Reason.UNSUPPORTED, "nobody asks that here")


def _code(frame: RawFrame) -> CodeObject:
    number = frame.checksum % CODES
    name, file = f"package.module.function_{number}", f"/srv/app/module_{number % 9}.py"
    return CodeObject("python", name, file, 10, (), ())


class Machine:
    """So many processes, each with its own code, that make records as the kernel does."""

    def __init__(self, processes: int) -> None:
        self._random = random.Random(processes)
        self._processes = processes
        self._time_ns = START_NS
        self._hashes = iter(range(1, sys.maxsize))
        self._whole: list[bytes] = []
        self._sent: OrderedDict[int, None] = OrderedDict()
        """By number, the stacks of which only a short record goes out."""
        self._numbers: dict[bytes, int] = {}

    def known(self) -> Iterator[bytes]:
        """Whole records of all stacks that come again later."""
        for pid in range(1, self._processes + 1):
            for _ in range(STACKS):
                stack = next(self._hashes).to_bytes(16, "little")
                self._numbers[stack] = len(self._whole)
                self._whole.append(encoded(self._sample(pid, stack)))
                yield self._send(len(self._whole) - 1)

    def again(self, count: int) -> Iterator[bytes]:
        """Records of stacks that came before: a few are frequent, as in real programs."""
        last = len(self._whole) - 1
        for _ in range(count):
            yield self._send(round(last * self._random.random() ** 4))

    def new(self, count: int) -> Iterator[bytes]:
        """Whole records, each of another stack, of code that is known."""
        for _ in range(count):
            pid = self._random.randint(1, self._processes)
            yield encoded(self._sample(pid, next(self._hashes).to_bytes(16, "little")))

    def forget(self, stack: bytes) -> None:
        """User space does not have the stack any more."""
        self._sent.pop(self._numbers.get(stack, -1), None)

    def _send(self, number: int) -> bytes:
        self._time_ns += 1000
        if number in self._sent:
            self._sent.move_to_end(number)
            return encoded_repeat(self._whole[number][STACK_AT], time_ns=self._time_ns)
        self._sent[number] = None
        if len(self._sent) > MOST_STACKS:
            self._sent.popitem(last=False)
        return self._whole[number]

    def _sample(self, pid: int, stack: bytes) -> RawSample:
        self._time_ns += 1000
        frames = []
        at = self._random.randrange(CODES)
        for _ in range(DEPTH):
            at = (at + self._random.choice((1, 1, 1, 7))) % CODES
            number = pid * CODES + at
            frames.append(RawFrame(1 << 56 | number << 8, self._random.randrange(200), number, 0))
        return raw_sample(
            pid=pid,
            time_ns=self._time_ns,
            start_ns=START_NS,
            interpreter=tuple(frames),
            user=(0x1810,),
            uid=pid % 5,
            stack=stack,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a sample, by kind of stream."""

    repeated: float
    new: float

    def mixed(self, new_share: float) -> float:
        """Where so many stacks are new."""
        return self.repeated * (1 - new_share) + self.new * new_share


def looks(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The records as they come, look by look."""
    batch: list[bytes] = []
    for record in records:
        batch.append(record)
        if len(batch) == LOOK_SAMPLES:
            yield batch
            batch = []
    if batch:
        yield batch


def measure(processes: int, samples: int) -> Cost:
    """What a sample costs with so many processes, when all of them and their stacks are known."""
    machine = Machine(processes)
    pipeline = Pipeline(machine.forget)
    for batch in looks(machine.known()):
        pipeline.look(batch)

    def cost_of(records: Iterable[bytes]) -> float:
        before_ns = pipeline.cpu_ns
        for batch in looks(records):  # one after the other: the kernel learns what was forgotten
            pipeline.look(batch)
        return (pipeline.cpu_ns - before_ns) / samples / 1000

    cost = Cost(cost_of(machine.again(samples)), cost_of(machine.new(samples)))
    counted = sum(sample.count for sample in pipeline.aggregator.samples({}))
    losses = pipeline.aggregator.losses(lost=0)
    assert counted + sum(losses.dropped.values()) == processes * STACKS + 2 * samples
    return cost


def main() -> None:
    """Prints a row for each number of processes: medians of five measurements."""
    print("| processes | µs a repeated sample | µs a new stack | samples a second of CPU, 5 % of them new |")
    print("| --- | --- | --- | --- |")
    for processes in (10, 100, 1000, 10_000):
        costs = [measure(processes, 20_000) for _ in range(5)]
        repeated = statistics.median(cost.repeated for cost in costs)
        new = statistics.median(cost.new for cost in costs)
        mixed = statistics.median(cost.mixed(0.05) for cost in costs)
        print(f"| {processes:,} | {repeated:.2f} | {new:.1f} | {1e6 / mixed:,.0f} |")


if __name__ == "__main__":
    main()
