"""What a process of ours has cost so far: proc(5)."""

from __future__ import annotations

import os


def run_time_of(pid: int) -> tuple[int, bool]:
    """Nanoseconds of CPU that our child `pid` used, to the clock tick, and whether it runs now."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, False
    ticks = int(fields[11]) + int(fields[12])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"), fields[0] == b"R"


def peak_bytes_of(pid: int) -> int:
    """Peak resident bytes of the program that `pid` runs, 0 once it has exited.

    What getrusage(2) says includes the program that it ran before its exec, which may have been a larger one.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    except OSError:
        return 0
    return int(line.split()[1]) * 1024
