"""Burns on two lines of one function, ``lines.py SECONDS``, and says the CPU seconds of each by its number."""

from __future__ import annotations

import json
import random
import sys
import time


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
    numbers = [number for number, text in enumerate(open(__file__), 1) if text.endswith(" line\n")]
    return dict(zip(numbers, (first_s, second_s), strict=True))


if __name__ == "__main__":
    print(json.dumps({"cpu_s": work(float(sys.argv[1]))}))
