"""CPU time of samples, by streams of made-up records, in sessions that run in processes of their own.

What is left for the end of a recording is not in it: then the samples of each stack go to the account of its
process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from tests.support.replay import Clock, Look, MadeUp, in_looks, replay

LOOKS_HZ = 10
LOOK_SAMPLES = 2 * 1000 // LOOKS_HZ
"""What comes between two looks into the ring buffer from two busy CPUs at 1,000 Hz."""
NEW_SHARE = 0.05
SHORT_LIVED_HZ = 1000
"""Processes that begin, are sampled once and exit."""
SAMPLES = 10_000
ROUNDS = 5


class Stream(NamedTuple):
    """Samples of one kind; `times`: how often each stack of a look is in it."""

    kind: str
    times: int = 1
    look_samples: int = LOOK_SAMPLES


TOGETHER, ALONE = Stream("again", 4), Stream("again")
FREQUENT, NEW = Stream("frequent"), Stream("new")


class Size(NamedTuple):
    """How many processes there are; how many stacks, and how many code objects, each of them has."""

    processes: int
    stacks: int = 20
    codes: int = 100


class Running:
    """A session in another process, which takes in one stream after another."""

    def __init__(self, connection: Connection, size: Size) -> None:
        self._connection = connection
        self._samples = 2 * size.processes * size.stacks

    def cost_us(self, stream: Stream, samples: int = SAMPLES) -> float:
        """CPU microseconds a sample."""
        self._connection.send((stream, samples))
        taken, cpu_ns = cast(tuple[int, int], self._connection.recv())
        self._samples += taken
        return cpu_ns / samples / 1000

    def check(self) -> None:
        """Ends it. Raises AssertionError where a sample was not counted, or its stack not named."""
        self._connection.send(None)
        counted = self._connection.recv()
        assert counted == (self._samples, 0, {}), (counted, self._samples)


@contextmanager
def running(size: Size) -> Iterator[Running]:
    """A session that knows the processes and all their stacks."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(theirs, size))
    child.start()
    theirs.close()
    try:
        yield Running(ours, size)
    finally:
        ours.close()
        child.join(5)
        child.kill()


def costs_us(
    sizes: Sequence[Size], streams: Iterable[Stream], *, samples: int = SAMPLES, rounds: int = ROUNDS
) -> dict[Stream, list[list[float]]]:
    """By stream, for each of the `sizes`, the cost of a sample in each round. In a round all take turns."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(running(size)) for size in sizes]
        costs: dict[Stream, list[list[float]]] = {}
        for stream in streams:
            turns = [[session.cost_us(stream, samples) for session in sessions] for _ in range(rounds)]
            costs[stream] = [list(each) for each in zip(*turns, strict=True)]
        for session in sessions:
            session.check()
    return costs


def _run(connection: Connection, size: Size) -> None:
    machine, clock = MadeUp(size.processes, stacks=size.stacks, codes=size.codes), Clock()

    def looks() -> Iterator[Look]:
        yield from in_looks(machine.known(), LOOK_SAMPLES)
        while (asked := connection.recv()) is not None:
            stream, samples = asked
            before_ns, extra = clock.cpu_ns, 0
            for look in _looks_of(machine, stream, samples):
                extra += SHORT_LIVED_HZ // LOOKS_HZ if look[0] else 0
                yield look
            connection.send((samples + extra, clock.cpu_ns - before_ns))

    losses = replay(looks(), forget=machine.forget, code=machine.code, clock=clock).losses
    connection.send((losses.samples, losses.lost, losses.dropped))


def _looks_of(machine: MadeUp, stream: Stream, samples: int) -> Iterator[Look]:
    if stream.kind == "frequent":
        yield from in_looks(machine.frequent(samples), stream.look_samples)
    elif stream.kind == "new":
        yield from in_looks(machine.new(samples), stream.look_samples)
    else:
        for _ in range(0, samples, stream.look_samples):
            if stream.kind == "again":
                yield (), list(machine.again(stream.look_samples, stream.times))
            else:
                new = round(stream.look_samples * NEW_SHARE)
                mapped, records = machine.short_lived(SHORT_LIVED_HZ // LOOKS_HZ)
                records += [*machine.frequent(stream.look_samples - new), *machine.new(new)]
                yield mapped, records
