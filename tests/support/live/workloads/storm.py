"""Short-lived children, one after the other on every CPU: each burns some milliseconds and is gone.

Every tenth runs another program instead, which ends at once.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import handshake

ROUNDS = 60_000
EXECS_ONE_IN = 10
TRUE = "/bin/true"


def in_the_fork() -> int:
    """Burn a fixed amount; return how long that took by this thread's CPU clock (ns)."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


def start_child(number: int, write_end: int) -> int:
    """Fork; the child says what it took, in a line, and ends."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if number % EXECS_ONE_IN == 0:
            os.execv(TRUE, [TRUE])
        os.write(write_end, b"%d\n" % in_the_fork())
    finally:
        os._exit(0)


def storm(children: int) -> tuple[list[int], int]:
    """Start that many, one a CPU at a time; return their pids, and their CPU time in the function."""
    read_end, write_end = os.pipe()
    pids: list[int] = []
    said = b""
    running = 0
    for number in range(children):
        if running == (os.cpu_count() or 1):
            os.wait()
            running -= 1
            said += _so_far(read_end)
        pids.append(start_child(number, write_end))
        running += 1
    for _ in range(running):
        os.wait()
    os.close(write_end)
    said += _so_far(read_end)
    os.close(read_end)
    return pids, sum(map(int, said.split()))


def _so_far(read_end: int) -> bytes:
    os.set_blocking(read_end, False)
    try:
        return os.read(read_end, 1 << 16)
    except BlockingIOError:
        return b""


def children_ns() -> int:
    """CPU time of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * handshake.NS)


def main() -> None:
    """Ready, go, fork, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True, help="how many children")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    handshake.ready()
    handshake.wait(warm_up=arguments.warm_up)
    began_ns = handshake.process_ns()
    pids, spent_ns = storm(arguments.units)
    total_ns = handshake.process_ns() - began_ns + children_ns()
    handshake.tell({"in_the_fork": spent_ns}, total_ns, pids=[os.getpid(), *pids])
    handshake.linger()


if __name__ == "__main__":
    main()
