"""A Python process that works in extension modules: numpy sorts, zlib compresses. Needs numpy."""

from __future__ import annotations

import argparse
import random
import time
import zlib

import handshake
import numpy

NUMBERS = numpy.random.default_rng(1).random(50_000)
TEXT = bytes(random.Random(20).choices(b"profiler", k=100_000))
MOST_CALLS = 4


def by_numpy(calls: int) -> int:
    """Sort; return how long that took, by this thread's CPU clock (ns)."""
    began_ns = time.thread_time_ns()
    for _ in range(calls):
        numpy.sort(NUMBERS)
    return time.thread_time_ns() - began_ns


def by_zlib(calls: int) -> int:
    """Compress; as `by_numpy`."""
    began_ns = time.thread_time_ns()
    for _ in range(calls):
        zlib.compress(TEXT, 1)
    return time.thread_time_ns() - began_ns


def main() -> None:
    """Ready, go, work, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True, help="calls")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    handshake.ready()
    handshake.wait(warm_up=arguments.warm_up)
    began_ns = handshake.process_ns()
    chance = random.Random(20)
    spent_ns = {"by_numpy": 0, "by_zlib": 0}
    done = 0
    while done < arguments.units:
        calls = chance.randint(1, MOST_CALLS)
        spent_ns["by_numpy"] += by_numpy(calls)
        spent_ns["by_zlib"] += by_zlib(calls)
        done += 2 * calls
    handshake.tell(spent_ns, handshake.process_ns() - began_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
