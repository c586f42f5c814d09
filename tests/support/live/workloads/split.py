"""Three functions that share this process's CPU time 60/30/10, called DEPTH frames deep.

``split.py --cpu-seconds S`` holds the split by its own CPU clock; ``--units N`` does the same fixed work
every time (the split then holds by units of it) and so shows what being watched costs.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import handshake

SHARES = {"heavy_share": 0.6, "medium_share": 0.3, "light_share": 0.1}
UNIT_ROUNDS = 500
MOST_UNITS = 300


def heavy_share(units: int) -> int:
    """Burn `units` of CPU; return how long that took, by this thread's CPU clock (ns)."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


def medium_share(units: int) -> int:
    """As `heavy_share`."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


def light_share(units: int) -> int:
    """As `heavy_share`."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


BURNERS: dict[str, Callable[[int], int]] = {
    "heavy_share": heavy_share,
    "medium_share": medium_share,
    "light_share": light_share,
}


def descend(depth: int, burner: Callable[[int], int], units: int) -> int:
    """Call `burner` from `depth` frames of this function."""
    if depth <= 1:
        return burner(units)
    return descend(depth - 1, burner, units)


def descend_through_c(depth: int, burner: Callable[[int], int], units: int) -> int:
    """Like `descend`, but a function in C lies between any two of the frames."""
    if depth <= 1:
        return burner(units)
    return next(map(descend_through_c, (depth - 1,), (burner,), (units,)))


def different_ways_down(depth: int) -> Callable[[int, Callable[[int], int], int], int]:
    """Like `descend`, but each of the `depth` frames is of another function."""
    source = "def way_1(burner, units):\n return burner(units)\n"
    for level in range(2, depth + 1):
        source += f"def way_{level}(burner, units):\n return way_{level - 1}(burner, units)\n"
    made: dict[str, Callable[[Callable[[int], int], int], int]] = {}
    exec(compile(source, __file__, "exec"), made)
    return lambda _, burner, units: made[f"way_{depth}"](burner, units)


def split(
    goal: int, by_clock: bool, depth: int, down: Callable[[int, Callable[[int], int], int], int]
) -> dict[str, int]:
    """Burn `goal` (CPU ns, or units) in the three functions; return what each really took (ns).

    The one furthest behind its share goes next. Turns are of random length, so that no sampling rate can
    fall into step with them.
    """
    chance = random.Random(20)
    spent_ns = dict.fromkeys(SHARES, 0)
    done = dict.fromkeys(SHARES, 0)
    progress = spent_ns if by_clock else done
    while sum(progress.values()) < goal:
        name = min(SHARES, key=lambda name: progress[name] / SHARES[name])
        units = chance.randint(1, MOST_UNITS)
        spent_ns[name] += down(depth, BURNERS[name], units)
        done[name] += units
    return spent_ns


def main() -> None:
    """Ready, go, burn, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--cpu-seconds", type=float)
    amount.add_argument("--units", type=int)
    parser.add_argument("--depth", type=int, default=40)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--different", action="store_true", help="no function calls itself")
    way.add_argument("--through-c", action="store_true", help="each calls the next through a C function")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    by_clock = arguments.units is None
    goal = int(arguments.cpu_seconds * handshake.NS) if by_clock else arguments.units
    handshake.raise_recursion_limit(arguments.depth)
    handshake.ready()
    handshake.wait(warm_up=arguments.warm_up)
    began_ns = handshake.process_ns()
    down = descend_through_c if arguments.through_c else descend
    if arguments.different:
        down = different_ways_down(arguments.depth)
    spent_ns = split(goal, by_clock, arguments.depth, down)
    handshake.tell(spent_ns, handshake.process_ns() - began_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
