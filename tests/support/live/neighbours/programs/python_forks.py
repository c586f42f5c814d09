"""A storm of forks of a Python in which thousands of functions have run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

FUNCTIONS = 9_900
made: dict[str, Callable[[], None]] = {}
for number in range(FUNCTIONS):
    exec(f"def known_{number}():\n for _ in range(200): pass", made)
functions = [each for name, each in made.items() if name.startswith("known_")]


def work(began: int) -> None:
    """Runs some of the functions, other ones each time."""
    end_ns = time.thread_time_ns() + 1_000_000
    while time.thread_time_ns() < end_ns:
        functions[began % FUNCTIONS]()
        began += 1


number = 0
while True:
    number += 100
    work(number)
    child = os.fork()
    if not child:
        work(number)
        os._exit(0)
    os.waitpid(child, 0)
