"""A machine that shows made-up stacks, and a session that takes them in, without kernel and worker.

The records go through the ring buffer's reader, decoding, the process table, naming and counting. What counts
is the CPU time of all that: neither that of making records nor that of making answers.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import cast

from profiler.capture.header import read_header
from profiler.capture.known_stacks import KnownStacks
from profiler.capture.records import CodeMapped, Forked, MappingRecord, ProcessEvent, RawSample, Record
from profiler.capture.ring import RingBuffer
from profiler.capture.source import Cost, Lost, Sampling
from profiler.profile.model import Profile
from profiler.run.request import Recording
from profiler.run.session import Session
from symbolizers.asker import Asker, Readable
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.inspection import CodeMapping, FileContents, Inspection, KernelKey
from symbolizers.process.deadline import Usage
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from symbolizers.questions import (
    Answer,
    Codes,
    Describe,
    Described,
    Failed,
    Inspect,
    Inspected,
    LookedInto,
    LookInto,
    Question,
    ReadCodes,
    decode_answer,
    encode,
)
from tests.support.asked import Questions
from tests.support.encoded import encoded, encoded_repeat
from tests.support.samples import raw_sample, told_file

CPUS = 256
START_NS = 1_000_000_000
DEPTH = 30
LOOP = (0x1800, 0x1900)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", 0x4000, LOOP)
MAPPINGS = (CodeMapping(0x1000, 0x2000, 0, told_file(5), "/bin/python3"),)
MOST_STACKS = 2048 * CPUS
"""As in kernel_source.py."""
_HEAD_BYTES = read_header("records.h").structs["sample_head"].layout.size
STACK_AT = slice(_HEAD_BYTES - 16, _HEAD_BYTES)
"""Where the hash is in a whole record."""
USER_PROCESSES = 8
"""Processes of one user: each user has an allowance."""
_SHORT_LIVED = 1 << 21
"""From this pid on processes are over soon."""
RING_BYTES = 1 << 24
EXEC_MAPPINGS = 5


class MadeUp:
    """So many processes, each with its own code, that make records as the kernel does."""

    def __init__(self, processes: int, *, stacks: int = 20, codes: int = 100) -> None:
        """Each process has so many code objects, and shows so many `stacks` again and again."""
        self._random = random.Random(processes)
        self._processes = processes
        self._stacks = stacks
        self._codes = codes
        self._time_ns = 2 * START_NS
        self._hashes = iter(range(1, sys.maxsize))
        self._whole: list[bytes] = []
        self._sent: OrderedDict[int, None] = OrderedDict()
        """By number, the stacks of which only a short record goes out."""
        self._numbers: dict[bytes, int] = {}
        self._short_lived = iter(range(_SHORT_LIVED, sys.maxsize))

    def known(self) -> Iterator[bytes]:
        """Records of all stacks that come again later: each is whole first, and came again once."""
        for pid in range(1, self._processes + 1):
            for _ in range(self._stacks):
                stack = next(self._hashes).to_bytes(16, "little")
                self._numbers[stack] = len(self._whole)
                self._whole.append(encoded(self._sample(pid, stack)))
                yield self._send(len(self._whole) - 1)
        yield from map(self._send, range(len(self._whole)))

    def frequent(self, count: int) -> Iterator[bytes]:
        """Records of stacks that came before: a few are frequent, as in real programs."""
        for _ in range(count):
            yield self._send(int(len(self._whole) * self._random.random() ** 4))

    def again(self, count: int, times: int) -> Iterator[bytes]:
        """`count` records of stacks that came before, each of these `times` times, in any order."""
        numbers = self._random.sample(range(len(self._whole)), count // times) * times
        self._random.shuffle(numbers)
        return map(self._send, numbers)

    def new(self, count: int) -> Iterator[bytes]:
        """Whole records, each of another stack, of code that is known."""
        for _ in range(count):
            pid = self._random.randint(1, self._processes)
            yield encoded(self._sample(pid, next(self._hashes).to_bytes(16, "little")))

    def short_lived(self, count: int) -> tuple[list[MappingRecord], list[bytes]]:
        """What is told of so many processes that a known one forks, each with one sample of its own."""
        mapped: list[MappingRecord] = []
        records = []
        for pid in (next(self._short_lived) for _ in range(count)):
            self._time_ns += 1000
            started_ns, parent = self._time_ns, self._random.randint(1, self._processes)
            process = ProcessId.from_start_ns(pid, started_ns)
            mapped.append(Forked(pid, self._time_ns, parent))
            mapped.append(CodeMapped(pid, self._time_ns, None))
            for at in range(EXEC_MAPPINGS):
                mapping = CodeMapping(0x1000 * (at + 1), 0x1000 * (at + 2), 0, told_file(at), f"/lib/{at}.so")
                mapped.append(CodeMapped(pid, self._time_ns, mapping))
            user = parent // USER_PROCESSES
            records.append(encoded(ProcessEvent(process, self._time_ns, started_ns, False, user)))
            stack = next(self._hashes).to_bytes(16, "little")
            sample = raw_sample(
                pid=pid,
                start_ns=started_ns,
                time_ns=self._time_ns,
                user=(0x1810, 0x2810, 0x3810),
                uid=user,
                stack=stack,
            )
            records.append(encoded(sample))
            records.append(encoded(ProcessEvent(process, self._time_ns, started_ns, True, user)))
        return mapped, records

    def forget(self, stack: bytes) -> None:
        """User space does not have the stack any more."""
        self._sent.pop(self._numbers.get(stack, -1), None)

    def code(self, frame: RawFrame) -> CodeObject:
        """What a frame that it has made runs."""
        number = frame.checksum
        name, file = f"package.module.function_{number}", f"/srv/app/module_{number % 9}.py"
        return CodeObject("python", name, file, 10, (), ())

    def _send(self, number: int) -> bytes:
        self._time_ns += 1000
        if number in self._sent:
            self._sent.move_to_end(number)
            cpu = self._random.randrange(CPUS)
            return encoded_repeat(self._whole[number][STACK_AT], time_ns=self._time_ns, cpu=cpu)
        self._sent[number] = None
        if len(self._sent) > MOST_STACKS:
            self._sent.popitem(last=False)
        return self._whole[number]

    def _sample(self, pid: int, stack: bytes) -> RawSample:
        self._time_ns += 1000
        frames = []
        at = self._random.randrange(self._codes)
        for _ in range(DEPTH):
            at = (at + self._random.choice((1, 1, 1, 7))) % self._codes
            number = pid * self._codes + at
            frames.append(RawFrame(1 << 56 | number << 8, self._random.randrange(200), number, 0))
        return raw_sample(
            pid=pid,
            time_ns=self._time_ns,
            start_ns=START_NS,
            interpreter=tuple(frames),
            user=(0x1810,),
            uid=pid // USER_PROCESSES,
            stack=stack,
        )


@dataclass(slots=True)
class Clock:
    """CPU time of this process while it runs."""

    cpu_ns: int = 0
    _since_ns: int | None = field(default=None)

    def start(self) -> None:
        self._since_ns = time.process_time_ns()

    def stop(self) -> None:
        if self._since_ns is not None:
            self.cpu_ns += time.process_time_ns() - self._since_ns
        self._since_ns = None


class AnswersAtOnce:
    """An `Asker` that knows all answers."""

    def __init__(self, code: Callable[[RawFrame], CodeObject | Reason], clock: Clock) -> None:
        self._code = code
        self._clock = clock
        self._questions = Questions()
        self.ask = self._questions.ask

    def pending(self) -> bool:
        return bool(self._questions.open)

    def wait(self, _longest_s: float, also: Sequence[Readable] = ()) -> Collection[int]:
        while self._questions.open:
            for asked in self._questions.take_all():
                question = asked.question
                message = encode(question)
                self._clock.stop()
                answer = encode(self._answer(question))
                self._clock.start()
                del message
                asked.then(decode_answer(answer, question))
        return {each.fileno() for each in also}

    def wait_for_all(self, longest_s: float) -> None:
        self.wait(longest_s)

    def exited(self, pid: int) -> None:
        """Nothing is under way."""

    def drop_questions(self) -> None:
        self._questions.take_all()

    def usage(self) -> Usage:
        return Usage(0.0, 0, 0)

    def _answer(self, question: Question[Answer]) -> Answer:
        if isinstance(question, Inspect) and question.pid >= _SHORT_LIVED:
            return Failed(Reason.EXITED, "it is over")
        if isinstance(question, LookInto):
            contents = FileContents(question.file, 0, 0, (), ())
            return LookedInto(contents, KernelKey(question.file.device, question.file.inode, 0))
        if isinstance(question, Inspect):
            assert question.start_ticks is not None
            process = ProcessId(question.pid, question.start_ticks)
            return Inspected(Inspection(process, MAPPINGS, (INTERPRETER,), ()))
        if isinstance(question, ReadCodes):
            return Codes(tuple(map(self._code, question.frames)))
        if isinstance(question, Describe):
            return Described(Description("/usr/bin/python3", ("python3", "app.py")))
        return Failed(Reason.UNSUPPORTED, "nobody asks that here")


Look = tuple[Sequence[MappingRecord], Sequence[bytes]]
"""What one look finds: decoded side-band records, and what is in the ring buffer."""


class Ring:
    """A file that is laid out as the kernel lays its ring buffer out."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("ring")
        os.ftruncate(self._fd, 2 * mmap.PAGESIZE + 2 * RING_BYTES)
        self._file = mmap.mmap(self._fd, 2 * mmap.PAGESIZE + 2 * RING_BYTES)
        self._produced = 0
        self.reader = RingBuffer(self._fd, RING_BYTES)

    def produce(self, records: Iterable[bytes]) -> None:
        framed = b"".join(
            struct.pack("<II", len(record), 0) + record + bytes(-len(record) % 8) for record in records
        )
        assert len(framed) < RING_BYTES
        at = self._produced % RING_BYTES
        start = 2 * mmap.PAGESIZE
        self._file[start + at : start + at + len(framed)] = framed
        wrapped = framed[RING_BYTES - at :]
        self._file[start : start + len(wrapped)] = wrapped
        self._produced += len(framed)
        self._file[mmap.PAGESIZE : mmap.PAGESIZE + 8] = struct.pack("<Q", self._produced)

    def close(self) -> None:
        self.reader.close()
        self._file.close()
        os.close(self._fd)


class Replay:
    """A `SampleSource` that hands out what a machine shows, look by look; the session ends after the last."""

    def __init__(self, looks: Iterator[Look], forget: Callable[[bytes], None], clock: Clock) -> None:
        self._clock = clock
        self._looks = looks
        self._ring = Ring()
        self._stacks = KnownStacks(forget, CPUS)
        self._ready, self._wake = os.pipe()
        self.end: Callable[[], None]

    def load(self, changed: Callable[[], None]) -> None:
        pass

    def start(self) -> None:
        pass

    def complete(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def fileno(self) -> int:
        return self._ready

    def set_alarm(self, *, is_full: bool = False) -> None:
        pass

    def drain(self) -> Sequence[Record]:
        self._clock.stop()
        look = next(self._looks, None)
        if look is None:
            self.end()
            return []
        mapped, records = look
        self._ring.produce(records)
        self._clock.start()
        return [*mapped, *self._stacks.decode(list(self._ring.reader.drain()))]

    def configure(self, pid: int, start_ns: int, interpreters: Sequence[Interpreter], *, user: int) -> bool:
        return True

    def kernel_names(self, addresses: Collection[int]) -> Mapping[int, bytes]:
        return {}

    def has_table(self, file: KernelKey, owner: int) -> bool:
        return False

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        raise AssertionError("no sample lacks a table")

    def put_generated(self, process: ProcessId, base: int, chunks: bytes) -> None:
        raise AssertionError("no sample lacks a table")

    def drop_generated(self, process: ProcessId) -> None:
        raise AssertionError("no process has a table")

    def add_target(self, pid: int) -> None:
        raise AssertionError("there are no targets")

    def drop_target(self, pid: int) -> None:
        raise AssertionError("there are no targets")

    def has_targets(self) -> bool:
        return True

    def lost(self) -> Lost:
        return Lost(self._stacks.lost)

    def notes(self) -> Sequence[str]:
        return ()

    def cpus(self) -> int:
        return CPUS

    def compiler_cost(self) -> Cost:
        return Cost()

    def close(self) -> None:
        self._ring.close()
        os.close(self._ready)
        os.close(self._wake)


def replay(
    looks: Iterator[Look],
    *,
    forget: Callable[[bytes], None],
    code: Callable[[RawFrame], CodeObject | Reason],
    clock: Clock,
) -> Profile:
    """The profile of a session that finds these `looks`; `forget` as in `KnownStacks`.

    `code` says what a frame runs, or why that can't be read. The `clock` runs while the session works.
    """
    recording = Recording(Sampling(100, ()), None, "a replay", time.monotonic())
    with closing(Replay(looks, forget, clock)) as source:
        session = Session(recording, source, cast(Asker, AnswersAtOnce(code, clock)))
        source.end = session.stop
        session.prepare()
        session.start()
        session.preload()
        return session.run()


def in_looks(records: Iterable[bytes], most: int) -> Iterator[Look]:
    """The records as they come, `most` in a look."""
    batch: list[bytes] = []
    for record in records:
        batch.append(record)
        if len(batch) == most:
            yield (), batch
            batch = []
    if batch:
        yield (), batch
