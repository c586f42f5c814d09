"""Calls and returns as fast as it can, through few chains: ``hostile_chains.py CPU_SECONDS``. From 2.7 on.

A line that calls a function of this file has the function's name in it, and no other line has. So a caller's
line tells which function may be on top of it.
"""

import functools
import os
import sys


def third():
    return None


def second():
    for _ in range(8):  # so that it is seen at all
        third()


def first():
    second()


def inner_steps():
    yield 1
    yield 2


def outer_steps():
    for step in inner_steps():
        yield step + 1


def consume():
    for _ in outer_steps():
        pass


def halve(number):
    return number // 2


def order(number):
    return halve(number)


def in_order():
    sorted((3, 1, 2), key=order)


def bound_target(number):
    return number


def through_partial():
    functools.partial(bound_target, 1)()


def settle(made):
    made.settled = True


class Made:
    def __init__(self):
        settle(self)


def construct():
    # A class calls a function named __init__.
    Made()


def burn(end):
    while os.times()[0] < end:
        for _ in range(200):
            first()
            consume()
            in_order()
            through_partial()
            construct()


burn(os.times()[0] + float(sys.argv[1]))
