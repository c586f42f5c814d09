"""What every target with a known truth says and hears (split.rb and split.php keep to it too).

A target writes the line ``ready``, waits for a line on stdin (its end will do), burns CPU, writes one line
of JSON, and stays until stdin ends, so that whoever looks at it decides when it goes. The JSON:
``pids``; ``cpu_s``, CPU seconds by name of the function that burnt them, measured inside these functions
on their own threads' CPU clocks; ``total_cpu_s``, of the whole process since it was told to go.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

NS = 1_000_000_000


def ready() -> None:
    """Say that the target is set up and waits to be told to go."""
    print("ready", flush=True)


def wait_for_go() -> None:
    """Return when a line comes in, or when nobody is there to send one."""
    sys.stdin.readline()


def warm_up_until_go() -> None:
    """Burn CPU here until a line comes in: a profiler that starts meanwhile has something to see."""
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(5_000):
            pass
    sys.stdin.readline()


def wait(*, warm_up: bool) -> None:
    """Return when a line comes in; until then sleep, or burn to `warm_up`."""
    if warm_up:
        warm_up_until_go()
    else:
        wait_for_go()


def tell(cpu_ns: dict[str, int], total_ns: int, **more: object) -> None:
    """Write the truth: nanoseconds in, seconds out."""
    cpu_s = {name: spent_ns / NS for name, spent_ns in cpu_ns.items()}
    truth = {"pids": [os.getpid()], "cpu_s": cpu_s, "total_cpu_s": total_ns / NS, **more}
    print(json.dumps(truth), flush=True)


def linger() -> None:
    """Return when stdin ends."""
    sys.stdin.read()


def process_ns() -> int:
    """CPU time of this process so far, all threads, user and system."""
    return time.process_time_ns()


def raise_recursion_limit(depth: int) -> None:
    """Let Python code nest `depth` frames, and its own few around them."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), depth + 200))
