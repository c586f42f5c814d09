"""Record this machine for ten seconds while the three examples run, and say where the flame graph is.

``demo.py OUTPUT.svg``, from the repository's .venv. The examples are stopped whatever happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

EXAMPLES = Path(__file__).resolve().parent
TREE = EXAMPLES.parent
RECORD_SECONDS = 10
AT_MOST_SECONDS = 60
"""After this an example ends by itself, in case this program is killed and can't stop it."""


def build_c_example() -> Path:
    """Compile busy.c with what a stack walk by frame pointers needs; return the program's path."""
    program = TREE / "build" / "busy"
    program.parent.mkdir(exist_ok=True)
    flags = ["-O1", "-g", "-fno-omit-frame-pointer"]
    subprocess.run(["gcc", *flags, "-o", program, EXAMPLES / "busy.c", "-lm"], check=True)
    return program


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """Run an example from its ``ready`` on until the block is left.

    It has a session of its own, so that Ctrl-C at the terminal reaches the recorder and this program only.
    Raises `RuntimeError` if it ends instead of getting ready.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield
    finally:
        process.terminate()
        process.communicate()


def record(output: Path) -> int:
    """Record the whole system; return the exit code. Ctrl-C ends the recording, not this program."""
    command = [str(TREE / ".venv" / "bin" / "pidflame"), "record", "-d", str(RECORD_SECONDS)]
    command += ["-o", str(output), "--force"]
    if os.geteuid() != 0:
        # The tree is the user's: root must leave no bytecode in it.
        command[:0] = ["sudo", "env", "PYTHONDONTWRITEBYTECODE=1"]
    with subprocess.Popen(command) as recorder:
        try:
            return recorder.wait()
        finally:
            if recorder.poll() is None:
                recorder.terminate()


def stop(_number: int, _frame: FrameType | None) -> None:
    """End this program by way of its ``finally`` blocks."""
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    """Build, start, record, tell."""
    output = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGTERM, stop)
    limit = str(AT_MOST_SECONDS)
    examples = [
        ["/usr/bin/python3", str(EXAMPLES / "busy.py"), limit],
        ["ruby", str(EXAMPLES / "busy.rb"), limit],
        [str(build_c_example()), limit],
    ]
    with ExitStack() as stack:
        for command in examples:
            stack.enter_context(running(command))
        print(f"recording the whole system for {RECORD_SECONDS} s …", flush=True)
        # A handler, not "ignore": the recorder must not inherit it.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        code = record(output)
    if code == 0:
        print(f"the flame graph is in {output} - open it in a browser")
    return code


if __name__ == "__main__":
    sys.exit(main())
