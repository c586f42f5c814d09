"""Prices orders and plans their ways for so many seconds, as in four other languages: tests/bench/jit.py."""

import math
import sys
import time


def discount(n: int) -> int:
    return n if n < 2 else discount(n - 1) + discount(n - 2)


def price(order: int) -> int:
    return sum(discount(14 + order % 3) for _ in range(3))


def distance(n: int) -> float:
    total = 0.0
    for each in range(1, n):
        total += math.sqrt(each) % 7
    return total


def route(order: int) -> float:
    total = 0.0
    for _ in range(8):
        total += distance(600 + order % 9)
    return total


def checkout(order: int) -> float:
    return price(order) + route(order)


end_s = time.monotonic() + float(sys.argv[1])
total, order = 0.0, 0
while time.monotonic() < end_s:
    total += checkout(order)
    order += 1
print(total)
