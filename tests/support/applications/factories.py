"""namedtuple and dataclass factories in a loop: both compile the methods of each new class by exec."""

from __future__ import annotations

import sys
import time
from collections import namedtuple
from dataclasses import make_dataclass


def turn(number: int) -> int:
    """A class of each kind, and a few objects of it."""
    pair = namedtuple(f"Pair{number}", ["left", "right"])
    record = make_dataclass(f"Record{number}", ["left", "right", "middle"], order=True)
    pairs = [pair(left, number) for left in range(20)]
    records = sorted(record(-left, left, number) for left in range(20))
    return len(pairs) + len(records)


if __name__ == "__main__":
    end_s = time.process_time() + float(sys.argv[1])
    number = 0
    while time.process_time() < end_s:
        turn(number)
        number += 1
    print(number)
