"""Burns CPU in a second interpreter of its process: ``subinterpreter.py SECONDS``. From CPython 3.8 on."""

import sys

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

PROGRAM = """
import time

def in_the_second(until):
    while time.process_time() < until:
        for _ in range(1000):
            pass

in_the_second(%s)
"""

first = interpreters.create()
second = interpreters.create()
third = interpreters.create()
run = getattr(interpreters, "run_string", None) or interpreters.exec
run(second, PROGRAM % float(sys.argv[1]))
sys.stdout.write("{}\n")
