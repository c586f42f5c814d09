"""Eight threads of one process, which all want to run and take turns under the GIL."""

from __future__ import annotations

import argparse
import random
import threading
import time

import handshake

THREADS = 8
UNIT_ROUNDS = 500
MOST_UNITS = 20


def long_turn(units: int) -> int:
    """Burn three times `units` of CPU; return how long that took, by this thread's CPU clock (ns)."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(3 * units * UNIT_ROUNDS):
        total += number & 7
    return time.thread_time_ns() - began_ns


def short_turn(units: int) -> int:
    """Burn `units`, as `long_turn`."""
    began_ns = time.thread_time_ns()
    total = 0
    for number in range(units * UNIT_ROUNDS):
        total ^= number & 7
    return time.thread_time_ns() - began_ns


def burn(goal: int, seed: int, spent_ns: list[dict[str, int]]) -> None:
    """Do `goal` units in one thread, and append what each function took (ns)."""
    chance = random.Random(seed)
    done, long_ns, short_ns = 0, 0, 0
    while done < goal:
        units = chance.randint(1, MOST_UNITS)
        long_ns += long_turn(units)
        short_ns += short_turn(units)
        done += 4 * units
    spent_ns.append({"long_turn": long_ns, "short_turn": short_ns})


def main() -> None:
    """Ready, go, burn in eight threads, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True, help="of all threads together")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    spent_ns: list[dict[str, int]] = []
    threads = [
        threading.Thread(target=burn, args=(arguments.units // THREADS, seed, spent_ns))
        for seed in range(THREADS)
    ]
    handshake.ready()
    handshake.wait(warm_up=arguments.warm_up)
    began_ns = handshake.process_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total_ns = handshake.process_ns() - began_ns
    handshake.tell({name: sum(each[name] for each in spent_ns) for name in spent_ns[0]}, total_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
