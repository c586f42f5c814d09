"""Lines of every PHP at hand: all opcodes of the methods of its libraries, against PHP's own debugger.

phpdbg loads the libraries, stops, and prints the opcodes of class after class, each with its line. In the
same process the methods are found by its table of classes, and read as in a recording. (What another process
would print is no truth: the compiler folds more where it knows other classes.)
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import pytest

from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from tests.interpreters.at_hand import Php, phps
from tests.interpreters.enter_root import MOUNTED_AT
from tests.interpreters.php_methods import find_php, methods

EXTENSIONS = ("tokenizer", "ctype", "mbstring", "dom", "xml", "iconv")
"""What the libraries need to be loaded."""
OPCODE_BYTES = 32
PLACE = re.compile(r"\s+; (?P<file>/.*):(?P<first>\d+)-(?P<last>\d+)")
PLACE_BEFORE_8 = re.compile(r"L(?P<first>\d+)-(?P<last>\d+) .*?\(\) (?P<file>/.*) - 0x\w+ \+ \d+ ops")
OPCODE = re.compile(r" ?L(\d+)\s+#?\d+\s")
NO_SUCH_CLASS = "NoSuchClass"

Place = tuple[str, int, int]
"""File, first and last line of a function."""


@dataclass
class Counts:
    """Of opcodes, and the files that they are of."""

    files: set[str] = field(default_factory=set)
    opcodes: int = 0
    different: int = 0
    not_printed: int = 0


@dataclass(frozen=True)
class Debugger:
    """A phpdbg at its prompt."""

    pid: int
    stdin: IO[str]
    stdout: IO[str]

    def said(self, command: str) -> Iterator[str]:
        """The lines that it answers; another command, which it is known to refuse, marks their end."""
        self.stdin.write(f"{command}\nprint class {NO_SUCH_CLASS}\n")
        self.stdin.flush()
        for line in self.stdout:
            if NO_SUCH_CLASS in line:
                return
            yield line.rstrip("\n")
        raise AssertionError("phpdbg has ended")

    def lines_of(self, class_name: str) -> dict[Place, list[list[int]]]:
        """By place, the lines of the opcodes of each function of a class that is there."""
        found: dict[Place, list[list[int]]] = {}
        opcodes: list[int] = []
        for line in self.said(f"print class {class_name}"):
            match = PLACE.fullmatch(line) or PLACE_BEFORE_8.fullmatch(line)
            if match:
                opcodes = []
                found.setdefault((match["file"], int(match["first"]), int(match["last"])), []).append(opcodes)
            elif match := OPCODE.match(line):
                opcodes.append(int(match[1]))
        return found


@contextmanager
def debugger(php: Php) -> Iterator[Debugger]:
    """A phpdbg that has loaded the libraries and stands still."""
    options = [word for name in EXTENSIONS for word in ("-d", f"extension={name}")]
    program = [php.sibling("phpdbg"), *php.options, *options, "-d", "memory_limit=2G", "-q"]
    command = php.contained(*program, f"{MOUNTED_AT}/php/library.php")
    # From 8.0 on the opcodes come on stderr.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes, text=True, errors="replace") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            stopped = Debugger(process.pid, process.stdin, process.stdout)
            answer = list(stopped.said("run"))
            assert any(f" at {MOUNTED_AT}/php/library.php:" in line for line in answer), answer
            yield stopped
        finally:
            process.kill()


def compared(php: Php) -> Counts:
    """What both say of all methods, opcode by opcode."""
    counts = Counts()
    with debugger(php) as stopped, open_process(stopped.pid) as handle:
        file, interpreter = find_php(handle)
        memory = NowaitReader(handle)
        symbolizer = file.symbolizer(interpreter, memory, lines=True)
        for class_name, found in methods(file.row, memory, interpreter.root):
            printed = stopped.lines_of(class_name)
            for method in found:
                code = symbolizer.read(method.frame)
                lines = [code.line_at(OPCODE_BYTES * index) for index in range(method.opcodes)]
                candidates = printed.get((code.file, code.first_line, method.last_line), [])
                counts.files.add(code.file)
                counts.opcodes += method.opcodes
                if not candidates:
                    counts.not_printed += method.opcodes
                elif lines not in candidates:
                    counts.different += method.opcodes
    return counts


@pytest.mark.cell("lines")
@pytest.mark.parametrize("php", phps(), ids=lambda php: php.name)
def test_every_opcode_of_the_libraries(php: Php, capsys: pytest.CaptureFixture[str]) -> None:
    counts = compared(php)
    with capsys.disabled():
        print(f"\n{php.name}: {len(counts.files)} files, {counts.opcodes} opcodes", end=" ")
        print(f"({counts.not_printed} not printed)", end=" ")
    assert len(counts.files) > 500
    assert counts.opcodes > 100_000
    assert counts.not_printed < counts.opcodes / 10_000  # nameless classes, whose names phpdbg can't be told
    assert counts.different == 0
