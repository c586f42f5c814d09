"""Every CPython of the machine, paused, as pidflame reads it and as py-spy and pystack do: frame by frame.

The Makefile installs the peers into an environment of their own. The interpreters that need a root of their
own are left to the other checks, because the peers look for files under the paths in maps.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from tests.interpreters.at_hand import FROM_SOURCE, Python, pythons
from tests.support.python_walk import find_python, walk

PEERS = Path(__file__).resolve().parents[2] / ".cache" / "peers-venv" / "bin"
PEER_S = 60
_PYSTACK_FRAME = re.compile(r'\s*\(Python\) File "(.*)", line (\d+), in (.*)')
_PYSTACK_THREAD = "Traceback for thread "


class Seen(NamedTuple):
    """A frame, in a form that all three can say."""

    name: str
    file: str
    line: int


Stacks = list[tuple[Seen, ...]]
"""A stack a thread, leaf first; sorted, because the three name threads differently."""


@dataclass(frozen=True)
class Paused:
    """A process that waits in the middle of its work, and what pidflame reads of it."""

    python: Python
    pid: int
    stacks: Stacks


def own_stacks(pid: int) -> Stacks:
    """The stacks as pidflame's own reader has them."""
    with open_process(pid) as handle:
        memory = NowaitReader(handle)
        file, interpreter = find_python(handle)
        symbolizer = file.symbolizer(interpreter, memory, lines=True)
        stacks = []
        for _, frames in walk(file.row, memory, interpreter.root):
            codes = [(symbolizer.read(frame), frame.distance) for frame in frames]
            stacks.append(tuple(Seen(code.name, code.file, code.line_at(at)) for code, at in codes))
    return sorted(stacks)


@pytest.fixture(
    scope="module",
    params=[python for python in pythons() if python.root == Path("/")],
    ids=lambda python: python.name,
)
def paused(request: pytest.FixtureRequest) -> Iterator[Paused]:
    python: Python = request.param
    command = python.command("objects.py")
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with target:
        try:
            assert target.stdout is not None
            assert target.stdout.readline()
            yield Paused(python, target.pid, own_stacks(target.pid))
        finally:
            target.kill()


def said_by(*command: str) -> str:
    """What a peer prints."""
    done = subprocess.run(
        [PEERS / command[0], *command[1:]], capture_output=True, text=True, timeout=PEER_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_py_spy(pid: int) -> Stacks:
    threads = json.loads(said_by("py-spy", "dump", "--nonblocking", "--json", "--pid", str(pid)))
    return sorted(
        tuple(Seen(frame["name"], frame["filename"], frame["line"]) for frame in thread["frames"])
        for thread in threads
    )


def by_pystack(pid: int) -> Stacks:
    stacks: list[list[Seen]] = []
    for line in said_by("pystack", "remote", "--no-block", "--no-color", str(pid)).splitlines():
        if line.startswith(_PYSTACK_THREAD):
            stacks.append([])
        elif match := _PYSTACK_FRAME.fullmatch(line):
            stacks[-1].append(Seen(match[3], match[1], int(match[2])))
    return sorted(tuple(reversed(stack)) for stack in stacks)


CLEANUP = Seen("__init__", "__init__", 0)
"""3.13 puts this frame under an ``__init__``. Nobody wrote its code, so pidflame leaves it out."""


def without_cleanup(stacks: Stacks) -> Stacks:
    return sorted(tuple(frame for frame in stack if frame != CLEANUP) for stack in stacks)


def as_pystack_has_them(stacks: Stacks) -> Stacks:
    """pidflame's stacks less what pystack 1.7 lacks.

    Its names are not qualified. In names beyond ASCII each character of one byte shows as a NUL; frames whose
    names have wider characters are left out.
    """
    found = []
    for stack in stacks:
        kept = [frame for frame in stack if max(map(ord, frame.name)) < 0x100]
        bare = [frame._replace(name=frame.name.rpartition(".")[2]) for frame in kept]
        found.append(
            tuple(
                frame if frame.name.isascii() else frame._replace(name="\0" * len(frame.name))
                for frame in bare
            )
        )
    return sorted(found)


def test_py_spy_sees_the_same(paused: Paused) -> None:
    if paused.python.program == str(FROM_SOURCE["free-threaded"]):  # py-spy 0.4.3 can't read it
        with pytest.raises(AssertionError, match="Failed to find a python interpreter"):
            by_py_spy(paused.pid)
        return
    assert without_cleanup(by_py_spy(paused.pid)) == paused.stacks


def test_pystack_sees_the_same(paused: Paused) -> None:
    assert without_cleanup(by_pystack(paused.pid)) == as_pystack_has_them(paused.stacks)


def test_there_is_something_to_compare(paused: Paused) -> None:
    assert len(paused.stacks) == 2
    assert max(map(len, paused.stacks)) >= 8
