"""Makes garbage that only a collector finds, and collects again and again. Any Python runs this."""

import gc
import json
import os


class Node(object):  # noqa: UP004 - Python 2 has collected classes of this kind alone
    def __init__(self, number):
        self.number = number
        self.itself = self


def cpu_s():
    return os.times()[0]


def makes_garbage(end_s):
    kept = []
    while cpu_s() < end_s:
        for number in range(20000):
            kept.append(Node(number))
        if len(kept) > 300000:
            del kept[:]
    return kept


def collects(end_s):
    while cpu_s() < end_s:
        gc.collect()


garbage = makes_garbage(cpu_s() + 1)
collects(cpu_s() + 2)
print(json.dumps({}))
