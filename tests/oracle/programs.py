"""What both unwinders are compared over: all that is recorded for docs/NATIVE.md, and what is rare there."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Sequence

from tests.bench.native import ALL, PROGRAMS, Program
from tests.support.live import embedded

_WITHOUT_EH_FRAME = ("Go", "Go, cgo and growing stacks")
"""Go's own code has none, or, with cgo, C's part alone has: libdw has nothing to go by, and guesses."""
_PYTHON = f"-I{sysconfig.get_path('include')} -lpython{sysconfig.get_config_var('LDVERSION')}"


def _odd(seconds: float) -> Program:
    return Program(
        "signals, vfork, contexts, lazy binding",
        f"./odd {seconds}",
        f"gcc -O2 -fomit-frame-pointer -Wl,-z,lazy {PROGRAMS / 'odd.c'} -o odd",
    )


def _text(seconds: float) -> Program:
    return Program("libstdc++", f"./text {seconds}", f"g++ -O2 {PROGRAMS / 'text.cpp'} -o text")


_MORE = (
    _odd(6),
    _text(4),
    Program(
        "libpython", f"./embedded {PROGRAMS / 'mixed.py'}", f"gcc {embedded.SOURCE} -o embedded {_PYTHON}"
    ),
    Program("node, native", f"node {PROGRAMS / 'native.js'} 6"),
    Program("javac", f"sh -c 'for each in 1 2 3; do javac -d . {PROGRAMS / 'Fib.java'}; done'"),
)


def programs() -> Iterator[Program]:
    """All of them."""
    yield from _MORE
    yield from (program for program in ALL if program.name not in _WITHOUT_EH_FRAME)


def short_programs() -> Sequence[Program]:
    """Some that run for a second, and need nothing but what the tests do."""
    count = "import json; [json.loads(json.dumps(list(range(1000)))) for _ in range(3000)]"
    return _odd(1), _text(1), Program("python", f"/usr/bin/python3 -c '{count}'")
