"""exec and eval in a loop: every turn compiles code of its own, runs it for a moment, and drops it."""

from __future__ import annotations

import sys
import time

SOURCE = """
def outer(number):
    def inner(values):
        return sum(value * {turn} for value in values)
    return inner(range(number))
result = [outer(size) for size in range(60)]
"""


def turn(number: int) -> int:
    """One piece of new code, and one new expression."""
    names: dict[str, list[int]] = {}
    exec(SOURCE.format(turn=number), names)
    return int(eval(f"sum(x + {number} for x in result)", names))


if __name__ == "__main__":
    end_s = time.process_time() + float(sys.argv[1])
    number = total = 0
    while time.process_time() < end_s:
        total += turn(number)
        number += 1
    print(number, total)
