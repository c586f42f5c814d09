"""What awaits the tasks of asyncio: `--async-tasks` and the reader behind it, on every CPython that tells."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.base import Interpreter, Symbolizer, TaskChain
from symbolizers.errors import Changed, SymbolizeError
from symbolizers.frame import MARKER
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.language import PythonFile
from symbolizers.python.layouts import LAYOUTS
from symbolizers.python.layouts_tasks import ALIGNMENTS, TASKS
from symbolizers.python.tasks import MAX_COROUTINES, MAX_TASKS
from tests.interpreters.at_hand import Python, pythons
from tests.support.live.harness import is_frame_of, record
from tests.support.python_walk import find_python
from tests.support.recorded_memory import Recorded

HZ = 200
AT_HAND = [python for python in pythons() if python.version >= (3, 14)]
SECTION = ".AsyncioDebug"
DESCRIBED = {
    "task_name": 1,
    "task_awaited_by": 2,
    "task_is_task": 3,
    "task_awaited_by_is_set": 4,
    "task_coroutine": 5,
    "thread_running_task": 11,
}
"""The index of each number (8 bytes) in the section: ``Py_AsyncioModuleDebugOffsets``."""

AWAITERS = ["task Task-1", "main", "TaskGroup.__aexit__", "TaskGroup._aexit"]
NAMED = [*AWAITERS, "task Task-2", "of_the_nameless", "awaiting", "task n\u00e4med:1"]


@pytest.fixture(scope="module", params=AT_HAND, ids=lambda python: python.name)
def python(request: pytest.FixtureRequest) -> Python:
    found: Python = request.param
    return found


def names(stack: tuple[str, ...]) -> list[str]:
    """Tasks and functions of the program and of task groups, root first."""
    shown = [frame for frame in stack if "tasks.py:" in frame or "taskgroups.py:" in frame]
    shown += [frame for frame in stack if frame.startswith("task ")]
    return [frame.partition(" (")[0] for frame in stack if frame in shown]


def test_what_awaits_a_task_is_under_it(python: Python, tmp_path: Path) -> None:
    command = python.command("tasks.py", "1.5")
    recorded = record(tmp_path, "-F", str(HZ), "--async-tasks", command=command)
    recorded.accounted()
    whole = shared = burning = 0
    for stack, count in recorded.stacks.items():
        if any(is_frame_of(frame, "burn") for frame in stack):
            found = names(stack)
            burning += count
            whole += count * (found == ["<module>", *NAMED, "of_the_named", "innermost", "burn"])
            shared += count * (found == ["<module>", "task shared", "alone", "burn"])
    assert burning > 2 * HZ
    assert whole > 0.45 * burning
    assert shared > 0.4 * burning
    assert whole + shared > 0.95 * burning, recorded.stacks.most_common(5)


def test_only_where_asked(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=python.command("tasks.py", "0.2"))
    burning = [
        names(stack) for stack in recorded.stacks if any(is_frame_of(frame, "burn") for frame in stack)
    ]
    assert ["<module>", "of_the_named", "innermost", "burn"] in burning
    assert not [found for found in burning if any(name.startswith("task ") for name in found)]


def test_a_task_that_is_over_is_not_taken_for_the_next(python: Python, tmp_path: Path) -> None:
    """Tasks follow each other at the same address, and most are over when the reader looks."""
    recorded = record(
        tmp_path, "-F", str(HZ), "--async-tasks", command=python.command("tasks.py", "short", "4")
    )
    recorded.accounted()
    awaited: Counter[tuple[str, str]] = Counter()
    for stack, count in recorded.stacks.items():
        found = set(names(stack))
        for burning in found & {"burn_one", "burn_other"}:
            awaiting = found & {"awaits_one", "awaits_other"}
            awaited[burning, ", ".join(awaiting)] += count
    alone = awaited.pop(("burn_one", "")) + awaited.pop(("burn_other", ""))
    assert set(awaited) <= {("burn_one", "awaits_one"), ("burn_other", "awaits_other")}
    assert alone + awaited.total() > 2 * HZ
    assert awaited.total() > 0.3 * alone
    said = re.search(r"note: samples of asyncio tasks .*: (\d+)\n", recorded.said)
    assert said is not None
    assert alone <= int(said[1])


@contextmanager
def stopped(python: Python) -> Iterator[tuple[int, int]]:
    """The pid of a program that stopped in a task, and the address of the task."""
    command = python.command("tasks.py", "wait")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, json.loads(process.stdout.readline())["task"]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def recorded(python: Python) -> tuple[Recorded, tuple[PythonFile, Interpreter], Symbolizer, tuple[int, int]]:
    """What a reader reads of a task that awaits nothing and is awaited, and the task's address."""
    with stopped(python) as (pid, task), open_process(pid) as handle:
        file, interpreter = find_python(handle)
        memory = Recorded(NowaitReader(handle))
        symbolizer = file.symbolizer(interpreter, memory, lines=False)
        reader = file.task_reader(interpreter, memory, symbolizer)
        assert reader is not None
        identity = reader.identity(task)
        chain = reader.chain(task, identity)
        assert chain.outermost.name == "of_the_named"
        assert [frame.name.replace(";", ":") for frame, _ in chain.frames] == NAMED
        assert [frame.kind for frame, _ in chain.frames if frame.name.startswith("task ")] == [MARKER] * 3
        with pytest.raises(SymbolizeError):
            reader.chain(task + 8, reader.identity(task + 8))
        with pytest.raises(Changed):
            reader.chain(task, identity + 1)
        memory.end()
        return memory, (file, interpreter), symbolizer, (task, identity)


@given(data=st.data())
@settings(deadline=None, max_examples=500)
def test_whatever_a_target_has_there_instead_the_end_comes_soon(
    recorded: tuple[Recorded, tuple[PythonFile, Interpreter], Symbolizer, tuple[int, int]],
    data: st.DataObject,
) -> None:
    memory, (file, interpreter), symbolizer, task = recorded
    places = st.sampled_from(memory.words())
    lies = st.sampled_from([0, 1, 3, 257, 1 << 31, 1 << 63, (1 << 64) - 1, task[0]]) | places
    memory.change(data.draw(st.dictionaries(places, lies, max_size=12)))
    reader = file.task_reader(interpreter, memory, symbolizer)
    assert reader is not None
    try:
        chain: TaskChain | None = reader.chain(*task)
    except SymbolizeError:
        chain = None
    assert chain is None or 1 <= len(chain.frames) <= (MAX_TASKS + 1) * (MAX_COROUTINES + 1)
    assert memory.ranges < 100_000


def test_a_row_is_what_asyncio_says_of_itself(python: Python) -> None:
    row, places = LAYOUTS.find(python.version), TASKS.find(python.version)
    assert row is not None
    assert places is not None
    places.validate(ALIGNMENTS)
    program = python.root / python.program.lstrip("/")
    library = program.parent.parent / "lib" / f"python{python.version[0]}.{python.version[1]}"
    found = [
        table for path in (program, *library.glob("lib-dynload/_asyncio.*.so")) if (table := section(path))
    ]
    assert len(found) == 1
    numbers = struct.unpack(f"<{len(found[0]) // 8}Q", found[0])
    expected = {name: (places if name in places.fields else row)[name] for name in DESCRIBED}
    assert {name: numbers[index] for name, index in DESCRIBED.items()} == expected


def section(path: Path) -> bytes:
    with path.open("rb") as stream:
        found = ELFFile(stream).get_section_by_name(SECTION)
        return bytes(found.data()) if found is not None else b""
