"""Spends its time in one function: ``healthy.py [SECONDS]``. It says how much CPU time that took, and all."""

import sys
import time


def healthy_work(end_ns):
    """Burns CPU until then, on the monotonic clock; returns the nanoseconds of this thread's."""
    began_ns = time.thread_time_ns()
    while time.monotonic_ns() < end_ns:
        for _ in range(1_000):
            pass
    return time.thread_time_ns() - began_ns


seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3600
spent_ns = healthy_work(time.monotonic_ns() + int(seconds * 1e9))
print(spent_ns / 1e9, time.process_time_ns() / 1e9, flush=True)
