"""Burns on two lines of one function, ``lines.py SECONDS``; says the CPU seconds of each by its number."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path


def work(goal_s: float) -> dict[int, float]:
    """CPU seconds by line, by this thread's clock, read before and after."""
    chance = random.Random(20)
    first_s = second_s = 0.0
    while first_s + second_s < goal_s:
        first, second = chance.randint(10_000, 60_000), chance.randint(1_000, 20_000)
        began_s = time.thread_time()
        sum(range(first))  # the first line
        between_s = time.thread_time()
        sum(range(second))  # the second line
        ended_s = time.thread_time()
        first_s += between_s - began_s
        second_s += ended_s - between_s
    text = Path(__file__).read_text().splitlines()
    numbers = [number for number, line in enumerate(text, 1) if line.endswith(" line")]
    return dict(zip(numbers, (first_s, second_s), strict=True))


if __name__ == "__main__":
    print(json.dumps({"cpu_s": work(float(sys.argv[1]))}))
