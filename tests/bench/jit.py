"""``docs/jit.png``: programs of five runtimes that generate code, by name in one flame graph of the machine.

    sudo RUBY=/opt/ruby/bin/ruby .venv/bin/python -m tests.bench.jit docs/jit.png

The newest Python of the machine is taken, 3.12 at least, or that in the variable PYTHON. RUBY names a Ruby
from 3.3 on with YJIT, which Debian's is built without. Inlining is off where it can be: a function that the
compiler has put into another one has no name of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.native import PROGRAMS
from tests.interpreters.at_hand import pythons_of_the_machine
from tests.support.browser import chromium, opened
from tests.support.live.harness import PIDFLAME, parse_folded

HZ = 499
WARM_UP_S, RECORDED_S = 8, 12
MAPS_OF_JAVA = 4
"""In the first half of the recording: the JVM goes on to compile, and pidflame to ask."""
RUN_S = 60
WIDTH, HEIGHT = 1600, 900
SOURCES = PROGRAMS / "jit"
FUNCTIONS = ("checkout", "price", "discount", "route", "distance")
_FIRST_WITH_MAP = (3, 12)
_NO_LOG = ("--no-logfile-per-isolate", "--logfile=/dev/null")
_JIT_OF_PHP = (
    "opcache.enable_cli=1",
    "opcache.jit_buffer_size=64M",
    "opcache.jit=function",
    "opcache.jit_debug=16",
)


def commands() -> dict[str, list[str]]:
    """How each runtime is told to name the code that it generates."""
    python = os.environ.get("PYTHON") or _python()
    php = [word for setting in _JIT_OF_PHP for word in ("-d", setting)]
    return {
        "node": ["node", "--perf-basic-prof", "--no-turbo-inlining", *_NO_LOG, "orders.js"],
        "java": ["java", "-XX:+PreserveFramePointer", "-XX:+UseSerialGC", "-XX:-Inline", "Orders"],
        "python": [python, "-X", "perf", "orders.py"],
        "ruby": [os.environ["RUBY"], "--disable-gems", "--yjit", "--yjit-perf", "orders.rb"],
        "php": ["php", *php, "orders.php"],
    }


def _python() -> str:
    found = [each.program for each in pythons_of_the_machine() if each.version >= _FIRST_WITH_MAP]
    if not found:
        raise SystemExit("there is no Python from 3.12 on: PYTHON=/path/to/python3.13 names one")
    return found[-1]


@contextmanager
def running(folder: Path) -> Iterator[dict[str, int]]:
    """All five, warm, by name to pid."""
    subprocess.run(["javac", "-d", folder, SOURCES / "Orders.java"], check=True)
    with ExitStack() as stack:
        started = {}
        for name, command in commands().items():
            words = [
                str(SOURCES / each) if (SOURCES / each).suffix in _SUFFIXES else each for each in command
            ]
            process = subprocess.Popen(
                [*words, str(RUN_S)], cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            started[name] = process.pid
        time.sleep(WARM_UP_S)
        yield started


_SUFFIXES = (".js", ".py", ".rb", ".php")


def write_map_of_java(pid: int) -> None:
    """The JVM writes what is compiled by then."""
    subprocess.run(["jcmd", str(pid), "Compiler.perfmap"], check=True, capture_output=True)


def check(stacks: Counter[tuple[str, ...]], pids: dict[str, int]) -> None:
    """Says how many samples of each program have all its names, and fails if one has none of a function."""
    for name, pid in pids.items():
        own = {stack: count for stack, count in stacks.items() if stack[0].endswith(f"({pid})")}
        total = sum(own.values())
        shares = [
            sum(count for stack, count in own.items() if has(stack, each)) / total for each in FUNCTIONS
        ]
        print(
            f"{name:8}{total:5} samples",
            *(f"{each} {share:.0%}" for each, share in zip(FUNCTIONS, shares, strict=True)),
        )
        assert min(shares) > 0, name


def has(stack: Sequence[str], function: str) -> bool:
    """Whether a frame of `stack` is of `function`, however its runtime writes that."""
    return any(re.search(rf"\b{function}\b", frame) for frame in stack[1:])


def main() -> None:
    (target,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording, page, folded = (folder / f"jit.{each}" for each in ("pidflame", "html", "folded"))
        with running(folder) as pids:
            seconds = str(RECORDED_S)
            command = [PIDFLAME, "record", "-d", seconds, "-F", str(HZ), "-o", recording, "-o", folded]
            with subprocess.Popen(command) as recorder:
                for _ in range(MAPS_OF_JAVA):
                    write_map_of_java(pids["java"])
                    time.sleep(RECORDED_S / MAPS_OF_JAVA / 2)
            assert recorder.returncode == 0
        check(parse_folded(folded.read_text()), pids)
        own = [word for pid in pids.values() for word in ("--pid", str(pid))]
        subprocess.run([PIDFLAME, "report", recording, *own, "-o", page], check=True)
        with chromium() as browser, opened(browser, page, width=WIDTH, height=HEIGHT) as shown:
            shown.get_by_role("button", name="No timeline").click()
            shown.wait_for_timeout(2000)
            shown.screenshot(path=target)
    print(f"{target}: {os.stat(target).st_size:,} bytes")


if __name__ == "__main__":
    main()
