"""A target for the live tests: ``python source_target.py``. Answers each command with one line of JSON.

Standard library only, no import from the project.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading


def spin() -> None:
    """Burns CPU in the interpreter, and now and then in the kernel."""
    while True:
        for _ in range(200_000):
            pass
        os.urandom(1 << 20)


def spinning_thread() -> int:
    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    assert thread.native_id is not None
    return thread.native_id


def spinning_child() -> int:
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        spin()
    return pid


def short_child() -> int:
    with subprocess.Popen(["/bin/true"]) as process:
        return process.pid


def end_with_parent() -> None:
    assert ctypes.CDLL(None).prctl(1, 9) == 0  # PR_SET_PDEATHSIG, SIGKILL


def become_another() -> int:
    os.execv(sys.executable, [sys.executable, __file__])


COMMANDS = {each.__name__: each for each in (spinning_thread, spinning_child, short_child, become_another)}

if __name__ == "__main__":
    end_with_parent()
    print(json.dumps(os.getpid()), flush=True)
    for line in sys.stdin:
        print(json.dumps(COMMANDS[line.strip()]()), flush=True)
