"""The rows of a recording, checked: numbers refer to what is there, and nothing is huge."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from profiler.profile.model import Process, Thread
from profiler.profile.schema import KERNEL_PATH, MAX_TEXT_BYTES, TABLES
from symbolizers.frame import KERNEL, Frame
from symbolizers.native.unnamed import mapping_frame

_MOST_ROWS = 20_000_000
_MOST_SAMPLES = 1 << 53
_MOST_LINE = 1 << 32
_MOST_DEPTH = 4096
_MOST_INLINED = 256
_ONE_PROCESS = 1 << 22
"""More than any pid."""

_RANGES = {
    "process": {"pid": _ONE_PROCESS, "parent": _ONE_PROCESS, "uid": 1 << 32, "start_ns": 1 << 63},
    "thread": {"tid": _ONE_PROCESS},
    "function": {"line": _MOST_LINE},
    "frame": {"line": _MOST_LINE, "inner": 2},
    "sample": {"time_ms": 1 << 40, "cpu": 1 << 16, "weight": _MOST_SAMPLES},
    "partial": {"second": 1 << 32, "samples": _MOST_SAMPLES},
    "ledger": {
        "pid": _ONE_PROCESS,
        "processes": _MOST_SAMPLES,
        "samples": _MOST_SAMPLES,
        "symbolized": _MOST_SAMPLES,
    },
}
"""What is below so much, and not negative, by table and column."""
_REFERENCES = (
    ("thread", "process", "process"),
    ("frame", "function", "function"),
    ("stack", "frame", "frame"),
    ("sample", "thread", "thread"),
    ("partial", "process", "process"),
)
"""Table and column, and the table whose ids it has."""

_CHAINS = (("stack", "parent"), ("function", "inlined_in"))
"""Table and column that has the id of an earlier row."""

_NO_BUILD_ID = "length(build_id) > 128 OR build_id GLOB '*[^0-9a-f]*'"


class BadRow(Exception):
    """Something in a recording is not as it has to be."""


def check_rows(file: sqlite3.Connection, tables: Collection[str]) -> None:
    """Raises `BadRow` where a row of `tables` is not as the schema and `_RANGES` say, or refers to none."""
    for table in tables:
        columns = TABLES[table]
        wrong = [(column.split()[0], _wrong_type(*column.split()[:3])) for column in columns.split(", ")]
        wrong += [
            (column, f"{column} < 0 OR {column} >= {most}") for column, most in _RANGES.get(table, {}).items()
        ]
        wrong += [
            (column, f"{column} < 1 OR {column} > {_count_of(file, other)}")
            for of, column, other in _REFERENCES
            if of == table
        ]
        if table == "frame":
            wrong.append(("build_id", _NO_BUILD_ID))
        for of, column in _CHAINS:
            if table == of:
                wrong.append((column, f"{column} < 1 OR {column} >= id"))
        if table == "sample":  # 0: a stack without frames
            wrong.append(("stack", f"stack < 0 OR stack > {_count_of(file, 'stack')}"))
        _check(file, table, wrong)
    if "sample" in tables:
        _check_total(file)


def _check_total(file: sqlite3.Connection) -> None:
    (total,) = file.execute("SELECT coalesce(sum(weight), 0) FROM sample").fetchone()
    if total >= _MOST_SAMPLES:
        raise BadRow("there are too many samples in it")


def _wrong_type(name: str, kind: str, rest: str = "") -> str:
    """The condition for a value that the column may not have; it may be NULL if there is no `rest`."""
    allowed = {"INTEGER": ["integer"], "TEXT": ["text"], "ANY": ["integer", "real", "text"]}[kind]
    texts = ", ".join(f"'{each}'" for each in (*allowed, *([] if rest else ["null"])))
    wrong = f"typeof({name}) NOT IN ({texts})"
    return wrong if kind == "INTEGER" else f"{wrong} OR length(CAST({name} AS BLOB)) > {MAX_TEXT_BYTES}"


def _check(file: sqlite3.Connection, table: str, wrong: list[tuple[str, str]]) -> None:
    """One pass over the table, and others only to say what is wrong."""

    def exists(condition: str) -> bool:
        return file.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchone() is not None

    if exists(" OR ".join(f"({condition})" for _, condition in wrong)):
        column = next(column for column, condition in wrong if exists(condition))
        raise BadRow(f"in the table {table}, {column} is out of range")


def _count_of(file: sqlite3.Connection, table: str) -> int:
    count, first, last = file.execute(f"SELECT count(*), min(id), max(id) FROM {table}").fetchone()
    if count > _MOST_ROWS or (count and (first, last) != (1, count)):
        raise BadRow(f"the table {table} has too many rows, or ids that are left out")
    return int(count)


class Rows(Struct, frozen=True):
    """What samples refer to, by id; the entry 0 of each stands for none."""

    facts: Mapping[str, str | int | float]
    processes: list[tuple[Process, bytes | None]]
    """Each with the name under which it counts with others, if it does."""
    threads: list[tuple[int, Thread]]
    """Each with its process."""
    frames: list[Frame]
    """Each with the line where its function begins. What others are inlined in comes behind those that stacks
    refer to."""
    lines: array[int]
    """The line that runs in each frame; 0 if that is not known."""
    inner: frozenset[int]
    """The frames that are hidden unless the interpreters' own functions are asked for."""
    inlined: dict[int, tuple[int, ...]]
    """Of a frame with inlined ones: the frame that is not inlined, and those, the outermost first."""
    parents: array[int]
    """Of stacks; 0 for one that begins."""
    ends: array[int]
    """The last frame of each stack."""

    def stack(self, number: int, ends: Sequence[int]) -> list[int]:
        """The `ends` of the stack of this number and of its callers, root first. Raises `BadRow`."""
        parents = self.parents
        frames = []
        while number:
            frames.append(ends[number])
            number = parents[number]
        if len(frames) > _MOST_DEPTH:
            raise BadRow("a stack in it is too deep")
        frames.reverse()
        return frames


def read_rows(file: sqlite3.Connection) -> Rows:
    """Reads what was checked. Raises `BadRow`, and what JSON raises."""
    functions, outer = [Frame("", "")], [0]
    for *row, inlined_in in _all(file, "kind, name, file, line, inlined_in", "function"):
        functions.append(Frame(*row))
        outer.append(inlined_in or 0)
    frames, lines, inner, chains = [Frame("", "")], array("Q", (0,)), set(), {}
    for at, (function, line, is_inner, path, address) in enumerate(
        _all(file, "function, line, inner, path, address", "frame"), 1
    ):
        frames.append(_unnamed(path, address) if function is None else functions[function])
        lines.append(line)
        if is_inner:
            inner.add(at)
        if function is not None and outer[function]:
            chains[at] = _chain(outer, function)
    inlined = _add_chains(frames, functions, chains)
    lines.extend([0] * (len(frames) - len(lines)))
    parents, ends = (
        array("I", (0, *(number for (number,) in _all(file, column, "stack"))))
        for column in ("coalesce(parent, 0)", "frame")
    )
    columns = "process, tid, CAST(comm AS BLOB), name"
    threads = [
        (process, Thread(comm, tid, name)) for process, tid, comm, name in _all(file, columns, "thread")
    ]
    return Rows(
        facts=dict(file.execute("SELECT name, value FROM fact")),
        processes=[(Process(0, b""), None), *_processes(file)],
        threads=[(0, Thread(b"", 0)), *threads],
        frames=frames,
        lines=lines,
        inner=frozenset(inner),
        inlined=inlined,
        parents=parents,
        ends=ends,
    )


def _add_chains(
    frames: list[Frame], functions: Sequence[Frame], chains: Mapping[int, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    """Makes a frame of every function in `chains`, and gives `Rows.inlined`."""
    numbers: dict[int, int] = {}
    for function in chain.from_iterable(chains.values()):
        if function not in numbers:
            numbers[function] = len(frames)
            frames.append(functions[function])
    return {at: tuple(map(numbers.__getitem__, each)) for at, each in chains.items()}


def _chain(outer: Sequence[int], function: int) -> tuple[int, ...]:
    """The function, and before it those that it is inlined in. Raises `BadRow`."""
    found = [function]
    while inlined_in := outer[found[-1]]:
        found.append(inlined_in)
        if len(found) > _MOST_INLINED:
            raise BadRow("too many functions in it are inlined in one")
    return tuple(reversed(found))


def _all(file: sqlite3.Connection, columns: str, table: str) -> sqlite3.Cursor:
    return file.execute(f"SELECT {columns} FROM {table} ORDER BY id")


def _processes(file: sqlite3.Connection) -> list[tuple[Process, bytes | None]]:
    columns = (
        "pid, CAST(comm AS BLOB), parent, uid, executable, command, container, interpreters,"
        " CAST(merged AS BLOB)"
    )
    found = []
    for *facts, command, container, interpreters, merged in _all(file, columns, "process"):
        arguments = json.loads(command)
        if not isinstance(arguments, list) or not all(isinstance(each, str) for each in arguments):
            raise BadRow("a command line in it is no list of texts")
        pid, comm, parent, uid, executable = facts
        process = Process(pid, comm, parent, uid, executable, tuple(arguments), container, interpreters)
        found.append((process, merged))
    return found


def _unnamed(path: str, address: int) -> Frame:
    """A frame that got no name: the recording was cut off before."""
    if path == KERNEL_PATH:
        return Frame(KERNEL, hex(address % (1 << 64)))
    return mapping_frame(path, address % (1 << 64))
