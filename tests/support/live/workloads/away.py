"""Functions that share the CPU time in known parts, some with a name on a page that does not come.

``kept`` has its name in memory all the time. With ``--away``, the names of ``away`` and ``returns`` lie
under a userfaultfd; that of ``returns`` is given back half-way. A call of a function does not look at its
name, so the target itself never touches these pages.
"""

from __future__ import annotations

import argparse
import ctypes
import random
import time
from collections.abc import Callable

import handshake
from away_page import BIG, PAGE, AwayPage

M_MMAP_THRESHOLD = -3
MALLOC_HEAD = 16
"""Bytes before the first object of a block that malloc gives pages of its own."""
PARTS = {"kept": 50, "away": 30, "returns": 20}
"""Percent of the CPU time."""
SLICE_NS = 4_000_000

Burner = Callable[[int], int]
BURNER = """
def {name}(goal_ns):
    began_ns = clock()
    while clock() - began_ns < goal_ns:
        for _ in range(1000):
            pass
    return clock() - began_ns
"""


def make_burner(name: str) -> Burner:
    """A function that burns CPU time and returns how much (ns); a BIG name gives it pages of its own."""
    scope: dict[str, Burner] = {}
    exec(compile(BURNER.format(name=name), "away_made.py", "exec"), {"clock": time.thread_time_ns}, scope)
    burner = scope[name]
    if name != "kept":
        burner.__code__ = burner.__code__.replace(co_qualname=name + "r" * BIG)
    return burner


def take_away(burner: Burner) -> AwayPage:
    """Takes the page with the head of its name, on which nothing else lies."""
    address = id(burner.__code__.co_qualname)
    assert address % PAGE == MALLOC_HEAD, "something else is on this page"
    return AwayPage(address)


def burn(burners: dict[str, Burner], cpu_s: float, spent_ns: dict[str, int]) -> None:
    """Burns `cpu_s` in all, in slices of all parts in a random order."""
    slices = round(cpu_s * handshake.NS / SLICE_NS)
    names = [name for name, percent in PARTS.items() for _ in range(slices * percent // 100)]
    random.Random(1).shuffle(names)
    for name in names:
        spent_ns[name] += burners[name](SLICE_NS)


def main() -> None:
    """Ready, go, burn; the page of ``returns`` comes back; burn as much; tell; all pages come back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--away", action="store_true")
    parser.add_argument("--cpu-seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    # A fixed threshold does not grow when the first big block is freed: all get pages of their own.
    assert ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, BIG // 2) == 1
    burners = {name: make_burner(name) for name in PARTS}
    spent_ns = dict.fromkeys(PARTS, 0)
    pages = {name: take_away(burners[name]) for name in ("away", "returns") if arguments.away}
    handshake.ready()
    handshake.wait_for_go()
    began_ns = handshake.process_ns()
    burn(burners, arguments.cpu_seconds / 2, spent_ns)
    if "returns" in pages:
        pages.pop("returns").give_back()
    burn(burners, arguments.cpu_seconds / 2, spent_ns)
    total_ns = handshake.process_ns() - began_ns
    addresses = {name: id(burner.__code__) for name, burner in burners.items()}
    handshake.tell(spent_ns, total_ns, addresses=addresses)
    handshake.linger()
    for page in pages.values():
        page.give_back()


if __name__ == "__main__":
    main()
