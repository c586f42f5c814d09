"""Shares its process's CPU time 60/30/10 among three functions: ``split.py SECONDS [DEPTH]``.

As tests/support/live/workloads/split.py, but for every CPython from 2.7 on. The work is called by a method
that C code calls, below a class's ``__init__``, DEPTH frames deep. At the end the program says
``{"cpu_s": {function: seconds}}``.
"""

import json
import random
import sys
import time

SHARES = {"heavy_share": 0.6, "medium_share": 0.3, "light_share": 0.1}
clock = getattr(time, "process_time", None) or time.clock


def burn(rounds):
    total = 0
    for number in range(rounds):
        total += number & 7
    return total


def heavy_share(rounds):
    return burn(rounds)


def medium_share(rounds):
    return burn(rounds)


def light_share(rounds):
    return burn(rounds)


class Burner:
    def __init__(self, name, rounds, depth):
        list(map(self.called_from_c, [(name, rounds, depth)]))

    def called_from_c(self, arguments):
        return descend(*arguments)


def descend(name, rounds, depth):
    if depth > 1:
        return descend(name, rounds, depth - 1)
    return globals()[name](rounds)


def main():
    goal_s, depth = float(sys.argv[1]), int(sys.argv[2])
    sys.setrecursionlimit(depth + 200)
    chance = random.Random(20)
    spent_s = dict.fromkeys(SHARES, 0.0)
    while sum(spent_s.values()) < goal_s:
        name = min(SHARES, key=lambda name: spent_s[name] / SHARES[name])
        began_s = clock()
        Burner(name, chance.randint(1000, 60000), depth)
        spent_s[name] += clock() - began_s
    sys.stdout.write(json.dumps({"cpu_s": spent_s}) + "\n")
    sys.stdout.flush()


main()
