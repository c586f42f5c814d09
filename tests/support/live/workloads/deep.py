"""A recursion `--depth` frames deep, whose leaf burns all of the CPU time (the descent is made once)."""

from __future__ import annotations

import argparse
import time

import handshake


def leaf_burner(cpu_seconds: float) -> int:
    """Burn that much of this thread's CPU time; return what it really took (ns)."""
    began_ns = time.thread_time_ns()
    goal_ns = int(cpu_seconds * handshake.NS)
    while time.thread_time_ns() - began_ns < goal_ns:
        for _ in range(1_000):
            pass
    return time.thread_time_ns() - began_ns


def dive(depth: int, cpu_seconds: float) -> int:
    """Stand `depth` frames deep, the last of them `leaf_burner`."""
    if depth <= 2:
        return leaf_burner(cpu_seconds)
    return dive(depth - 1, cpu_seconds)


def main() -> None:
    """Ready, go, burn, tell: ``depth`` frames lie between `main` and the leaf, which is the last of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=500)
    parser.add_argument("--cpu-seconds", type=float, required=True)
    arguments = parser.parse_args()
    handshake.raise_recursion_limit(arguments.depth)
    handshake.ready()
    handshake.wait_for_go()
    began_ns = handshake.process_ns()
    spent_ns = dive(arguments.depth, arguments.cpu_seconds)
    handshake.tell({"leaf_burner": spent_ns}, handshake.process_ns() - began_ns, depth=arguments.depth)
    handshake.linger()


if __name__ == "__main__":
    main()
