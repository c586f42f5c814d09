"""Says what its code objects and stacks are in one line of JSON, then stays as it is until stdin ends.

``codes``, a list of `truth.described`, and ``stacks`` of `truth.stacks`. Runs on every CPython from 2.7 on.
"""

import gc
import importlib
import json
import os
import sys
import threading
from types import FunctionType

import truth

MODULES = "argparse decimal inspect logging.config optparse pydoc tarfile unittest.case"
for module in MODULES.split():
    importlib.import_module(module)


def tell(frame):
    document = {"codes": [truth.described(code) for code in kept], "stacks": truth.stacks(frame)}
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def leaf(*values):
    # C calls on one line: the stack stays as it is when it is taken.
    return values, tell(sys._getframe()), os.read(0, 1)


class Made:
    def __init__(self, last):
        self.values = list(map(self.called_from_c, [last]))

    def called_from_c(self, last):
        return leaf(last) if last else None


def handler():
    # The call in the loop is of one kind so often that the interpreter specializes it.
    for number in range(300):
        try:
            raise ValueError(number)
        except ValueError:
            Made(number == 299)
        yield number


def comprehension():
    return [sum(value for value in handler()) for _ in (1,)]


def works(started, blocked):
    return started.set(), blocked.acquire()


WIDE_NAMES = """
def \xe9t\xe9(f): return f()
def \u0444(f): return \xe9t\xe9(f)
def \U00020000(f): return \u0444(f)
call = \U00020000
"""


def call(f):
    return f()


if str is not bytes:
    # Names in the three widths that characters have, which 2.7 can't have.
    exec(WIDE_NAMES)


# Before the thread starts: a free-threaded interpreter then makes functions immortal and forgets them.
functions = [thing for thing in gc.get_objects() if type(thing) is FunctionType]
kept = truth.with_nested(function.__code__ for function in functions)

started, blocked = threading.Event(), threading.Lock()
blocked.acquire()
thread = threading.Thread(target=works, args=(started, blocked))
thread.daemon = True
thread.start()
started.wait()
call(comprehension)
os._exit(0)
