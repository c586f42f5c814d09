"""The same work again and again, a block for each line: answers its CPU seconds by the process's own clock.

A line names the units of split.py's work. All blocks of so many units do exactly the same.
"""

from __future__ import annotations

import gc
import os
import sys

import handshake
from split import descend, split

DEPTH = 40


def main() -> None:
    """Ready, then a block for each line; ``blocks.py CPU`` stays on that CPU."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    gc.disable()
    handshake.ready()
    for line in sys.stdin:
        began_ns = handshake.process_ns()
        split(int(line), False, DEPTH, descend)
        print((handshake.process_ns() - began_ns) / handshake.NS, flush=True)


if __name__ == "__main__":
    main()
