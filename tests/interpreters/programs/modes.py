"""Programs for every CPython from 2.7 on: ``modes.py MODE SECONDS``. Functions say where they burn."""

import json
import subprocess
import sys
import time
import traceback

SAID = []


def said():
    """Say once from where the caller is called: name, file and line of each frame, leaf first."""
    if not SAID:
        SAID.append(1)
        entries = [(entry[2], entry[0], entry[1]) for entry in traceback.extract_stack()[-2::-1]]
        sys.stdout.write(json.dumps(entries) + "\n")
        sys.stdout.flush()
    return False


def leaf(until):
    any(said() or time.time() > until for _ in iter(int, 1))


def handling(until):
    try:
        raise ValueError
    except ValueError:
        leaf(until)


def finishing(until):
    try:
        len("nothing happens here")
    finally:
        handling(until)


def generating(until):
    yield finishing(until)


class Made:
    def __init__(self, until):
        sorted([until], key=self.called_from_c)

    def called_from_c(self, until):
        return [value or until for value in generating(until)]


def at_once(until):
    while time.time() < until:
        sum(range(100))


def main():
    mode, seconds = sys.argv[1], float(sys.argv[2])
    if mode == "paused":
        Made(time.time() + seconds)
    elif mode == "once":
        at_once(time.time() + seconds)
    else:
        for _ in range(20):
            subprocess.check_call([sys.executable, "-B", sys.argv[0], "once", str(seconds / 20)])


main()
