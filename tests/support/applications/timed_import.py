"""Imports the module argv[1], and adds to the file argv[2] a line of JSON: CPU nanoseconds by source file.

Each file's are those for which the body of its module ran on this thread, without those of other modules'
bodies meanwhile: what is on the stack then as the innermost ``<module>``.
"""

import importlib
import json
import sys
import time
from importlib import _bootstrap_external

spent = {}
running = [""]
since_ns = time.thread_time_ns()


def account():
    """Counts what passed since the last call for the body that runs."""
    global since_ns
    now_ns = time.thread_time_ns()
    spent[running[-1]] = spent.get(running[-1], 0) + now_ns - since_ns
    since_ns = now_ns


def exec_module(loader, module):
    code = loader.get_code(module.__name__)
    account()
    running.append(code.co_filename)
    try:
        exec(code, module.__dict__)
    finally:
        account()
        running.pop()


_bootstrap_external._LoaderBasics.exec_module = exec_module
importlib.import_module(sys.argv[1])
with open(sys.argv[2], "a") as file:
    file.write(json.dumps(spent) + "\n")
