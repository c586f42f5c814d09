"""Two threads at once: one in ``zlib.compress`` with the GIL released, one in Python code that holds it."""

from __future__ import annotations

import argparse
import random
import threading
import time
import zlib

import handshake

BUFFER_BYTES = 2_000_000


def compress_caller(cpu_ns: int, buffer: bytes, spent_ns: dict[str, int]) -> None:
    """Spend that much of this thread's CPU time in zlib (some more: whole calls only)."""
    began_ns = time.thread_time_ns()
    while time.thread_time_ns() - began_ns < cpu_ns:
        zlib.compress(buffer, 9)
    spent_ns["compress_caller"] = time.thread_time_ns() - began_ns


def python_burner(cpu_ns: int, spent_ns: dict[str, int]) -> None:
    """Spend that much of this thread's CPU time in Python code."""
    began_ns = time.thread_time_ns()
    while time.thread_time_ns() - began_ns < cpu_ns:
        for _ in range(1_000):
            pass
    spent_ns["python_burner"] = time.thread_time_ns() - began_ns


def main() -> None:
    """Ready, go, burn in two threads, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-seconds", type=float, required=True, help="of each thread")
    arguments = parser.parse_args()
    cpu_ns = int(arguments.cpu_seconds * handshake.NS)
    buffer = bytes(random.Random(20).choices(b"profiler", k=BUFFER_BYTES))
    spent_ns: dict[str, int] = {}
    threads = [
        threading.Thread(target=compress_caller, args=(cpu_ns, buffer, spent_ns)),
        threading.Thread(target=python_burner, args=(cpu_ns, spent_ns)),
    ]
    handshake.ready()
    handshake.wait_for_go()
    began_ns = handshake.process_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handshake.tell(spent_ns, handshake.process_ns() - began_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
