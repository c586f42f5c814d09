"""``forks.py COUNT``: forks that many times, a child at a time, each of which burns some milliseconds."""

from __future__ import annotations

import json
import os
import sys
import time

BURN_NS = 5_000_000


def in_the_fork() -> int:
    """Burn; return how long that took by this process's CPU clock (ns)."""
    began_ns = time.process_time_ns()
    total = 0
    while time.process_time_ns() - began_ns < BURN_NS:
        total += sum(range(500))
    return time.process_time_ns() - began_ns


def main() -> None:
    """Fork, wait, again; tell the children's CPU seconds."""
    spent_ns = 0
    in_the_fork()
    for _ in range(int(sys.argv[1])):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write_end, str(in_the_fork()).encode())
            os._exit(0)
        os.close(write_end)
        spent_ns += int(os.read(read_end, 20))
        os.close(read_end)
        os.waitpid(pid, 0)
    print(json.dumps({"cpu_s": {"in_the_fork": spent_ns / 1e9}}))


if __name__ == "__main__":
    main()
