"""A program that starts, burns CPU in one function and is gone: it waits for nobody."""

from __future__ import annotations

import argparse
import time

import handshake


def short_lived_work(cpu_seconds: float) -> int:
    """Burn that much of this thread's CPU time; return what it really took (ns)."""
    began_ns = time.thread_time_ns()
    goal_ns = int(cpu_seconds * handshake.NS)
    while time.thread_time_ns() - began_ns < goal_ns:
        for _ in range(1_000):
            pass
    return time.thread_time_ns() - began_ns


def main() -> None:
    """Burn, tell, exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    began_ns = handshake.process_ns()
    spent_ns = short_lived_work(arguments.cpu_seconds)
    handshake.tell({"short_lived_work": spent_ns}, handshake.process_ns() - began_ns)


if __name__ == "__main__":
    main()
