"""A process that sleeps for so many milliseconds: the machine is as idle as it gets."""

from __future__ import annotations

import argparse
import time

import handshake


def main() -> None:
    """Ready, go, sleep, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True, help="milliseconds")
    parser.add_argument("--warm-up", action="store_true", help="taken for the sake of the other targets")
    arguments = parser.parse_args()
    handshake.ready()
    handshake.wait_for_go()
    began_ns = handshake.process_ns()
    time.sleep(arguments.units / 1000)
    handshake.tell({}, handshake.process_ns() - began_ns)
    handshake.linger()


if __name__ == "__main__":
    main()
