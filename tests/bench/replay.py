"""What a sample costs in user space, by streams of made-up records: ``python -m tests.bench.replay``.

A session for each number of processes, in a process of its own, takes in the same streams, in turn with the
others. Prints Markdown: medians of CPU time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from tests.support.replay import Clock, Look, Machine, in_looks, replay

PROCESSES = (10, 100, 1000, 10_000)
LOOK_SAMPLES = 200
"""What comes between two looks into the ring buffer: 0.1 s of two busy CPUs at 1,000 Hz."""
SAMPLES = 10_000
ROUNDS = 5
LOOKS_HZ = 10
SHORT_LIVED_HZ = 1000
_SECONDS = 2


class Stream(NamedTuple):
    """Samples of one kind; `times`: how often each stack of a look is in it."""

    kind: str
    times: int = 1
    look_samples: int = LOOK_SAMPLES


ALONE, FOUR_TIMES = Stream("again"), Stream("again", 4)
FREQUENT, NEW = Stream("frequent"), Stream("new")


class Running:
    """A session in another process, which takes in one stream after another."""

    def __init__(self, connection: Connection, processes: int) -> None:
        self._connection = connection
        self.processes = processes
        self._samples: int = connection.recv()

    def cost_us(self, stream: Stream, samples: int) -> float:
        """CPU microseconds a sample."""
        self._connection.send((stream, samples))
        self._samples += samples
        return cast(int, self._connection.recv()) / samples / 1000

    def busy_share(self, frequency_hz: int) -> float:
        """The CPU time, in parts of a core, that the sampling of `CPUS` busy CPUs takes."""
        raise NotImplementedError

    def check(self) -> None:
        """Ends it, and holds that every sample was counted."""
        self._connection.send(None)
        counted = self._connection.recv()
        assert counted == self._samples, (counted, self._samples)


@contextmanager
def running(processes: int, *, stacks: int = 20, codes: int = 100) -> Iterator[Running]:
    """A session that knows so many processes, and so many stacks and code objects of each."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(theirs, processes, stacks, codes))
    child.start()
    theirs.close()
    try:
        yield Running(ours, processes)
    finally:
        ours.close()
        child.join(5)
        child.kill()


def _run(connection: Connection, processes: int, stacks: int, codes: int) -> None:
    machine, clock = Machine(processes, stacks=stacks, codes=codes), Clock()

    def looks() -> Iterator[Look]:
        yield from in_looks(machine.known(), LOOK_SAMPLES)
        connection.send(2 * processes * stacks)
        while (asked := connection.recv()) is not None:
            before_ns = clock.cpu_ns
            yield from _looks_of(machine, *asked)
            connection.send(clock.cpu_ns - before_ns)

    losses = replay(machine, clock, looks()).losses
    connection.send(losses.samples if not (losses.lost or losses.dropped) else -1)


def _looks_of(machine: Machine, stream: Stream, samples: int) -> Iterator[Look]:
    if stream.kind == "again":
        for _ in range(0, samples, stream.look_samples):
            yield (), list(machine.again(stream.look_samples, stream.times))
    elif stream.kind == "frequent":
        yield from in_looks(machine.frequent(samples), stream.look_samples)
    else:
        yield from in_looks(machine.new(samples), stream.look_samples)


def main() -> None:
    """Prints a row for each number of processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("processes", type=int, nargs="*", default=PROCESSES)
    for processes in parser.parse_args().processes:
        with running(processes) as session:
            for stream in (ALONE, FOUR_TIMES, FREQUENT, NEW):
                costs = [session.cost_us(stream, SAMPLES) for _ in range(ROUNDS)]
                print(
                    processes,
                    stream,
                    f"{statistics.median(costs):.2f}",
                    [f"{c:.2f}" for c in costs],
                    flush=True,
                )
            session.check()


if __name__ == "__main__":
    main()
