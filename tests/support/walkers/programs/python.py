#!/usr/bin/env python3
"""Says what its stacks are, and waits. See `tests.support.walkers.targets`.

Run with the name of a scenario: ``kinds`` (frames of every kind), ``thread`` (of another thread than the
first), ``deep N`` (a recursion).
"""

import json
import os
import sys
import threading


def say(frame):
    """Writes the stack from `frame` on, leaf first."""
    told = []
    while frame is not None:
        code = frame.f_code
        told.append([getattr(code, "co_qualname", code.co_name), frame.f_lineno])
        frame = frame.f_back
    return os.write(1, json.dumps({"tid": threading.get_native_id(), "stack": told}).encode() + b"\n")


def wait():
    """In one line, so that the stack stays as it was said."""
    return say(sys._getframe()), os.read(0, 1)


class Made:
    def __init__(self):
        self.value = [self.step(n) for n in range(1)]

    def step(self, n):
        return max((lambda: list(self.generate()))(), key=len)

    def generate(self):
        yield str(wait())


def descend(n):
    return descend(n - 1) if n else wait()


def sorts(n):
    return sorted([1], key=lambda _: Made() and n)


def thread():
    worker = threading.Thread(target=Made)
    worker.start()
    return worker.join()


def main():
    scenario, *rest = sys.argv[1:]
    if scenario == "deep":
        sys.setrecursionlimit(10_000)
        descend(int(rest[0]))
    elif scenario == "thread":
        thread()
    else:
        sorts(1)


main()
