"""One of N CPU-bound processes that give way to each other on one line (or all N, with ``--processes``).

Nearly all of the CPU goes to `burn_a` and `burn_b`; `syscall_line` is merely where a process most often
stands while it does not run, which is what a profiler that looks at runnable processes reports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time

import handshake

UNIT_ROUNDS = 500
MOST_UNITS = 100


def burn_a(units: int) -> int:
    """Burn `units` of CPU; return how long that took, by this thread's CPU clock (ns)."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


def burn_b(units: int) -> int:
    """As `burn_a`."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total ^= number & 7
    return time.thread_time_ns() - began_ns


def syscall_line() -> int:
    """Let another process run; return the CPU time of that in ns (not of the wait)."""
    began_ns = time.thread_time_ns()
    os.sched_yield()
    return time.thread_time_ns() - began_ns


def burn(goal: int, by_clock: bool) -> dict[str, int]:
    """Burn `goal` (CPU ns, or units), giving way after each turn; return what each function took (ns)."""
    chance = random.Random(os.getpid())
    spent_ns = {"burn_a": 0, "burn_b": 0, "syscall_line": 0}
    done = 0
    while (sum(spent_ns.values()) if by_clock else done) < goal:
        units = chance.randint(1, MOST_UNITS)
        spent_ns["burn_a"] += burn_a(units)
        spent_ns["burn_b"] += burn_b(units)
        spent_ns["syscall_line"] += syscall_line()
        done += 2 * units
    return spent_ns


def lead(count: int, arguments: list[str]) -> None:
    """Start `count` of this program, and be one target on their behalf: their truths added up."""
    command = [sys.executable, os.path.abspath(__file__), *arguments]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for member in crowd:
        assert member.stdout is not None
        member.stdout.readline()
    handshake.ready()
    handshake.wait_for_go()
    for member in crowd:
        assert member.stdin is not None
        member.stdin.write("go\n")
        member.stdin.flush()
    cpu_s: dict[str, float] = {}
    total_cpu_s = 0.0
    for member in crowd:
        assert member.stdout is not None
        truth = json.loads(member.stdout.readline())
        total_cpu_s += truth["total_cpu_s"]
        for name, seconds in truth["cpu_s"].items():
            cpu_s[name] = cpu_s.get(name, 0.0) + seconds
    pids = [member.pid for member in crowd]
    print(json.dumps({"pids": pids, "cpu_s": cpu_s, "total_cpu_s": total_cpu_s}), flush=True)
    handshake.linger()
    for member in crowd:
        member.communicate()


def main() -> None:
    """Ready, go, burn, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--cpu-seconds", type=float, help="of each process")
    amount.add_argument("--units", type=int, help="of each process")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    by_clock = arguments.units is None
    if arguments.processes > 1:
        each = f"--cpu-seconds={arguments.cpu_seconds}" if by_clock else f"--units={arguments.units}"
        lead(arguments.processes, [each, "--warm-up"] if arguments.warm_up else [each])
        return
    handshake.ready()
    handshake.wait(warm_up=arguments.warm_up)
    began_ns = handshake.process_ns()
    goal = int(arguments.cpu_seconds * handshake.NS) if by_clock else arguments.units
    spent_ns = burn(goal, by_clock)
    handshake.tell(spent_ns, handshake.process_ns() - began_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
