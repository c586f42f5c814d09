"""Writes a recording: a slice at a time, each in one transaction, so that a cut leaves all slices before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from profiler.profile.ledger import ledger_row, losses_text
from profiler.profile.model import Process, Profile
from profiler.profile.schema import APPLICATION_ID, TABLES, VERSION, statements
from profiler.profile.slices import CannotKeep, FrameRow, Slice
from symbolizers.frame import Frame

_PRAGMAS = (
    f"application_id = {APPLICATION_ID}",
    f"user_version = {VERSION}",
    "journal_mode = WAL",  # a cut in the middle of a transaction leaves a file that opens
    "synchronous = OFF",  # what the kernel has taken survives our own end; nobody waits for the disk
    "cache_size = -1024",
)


class RecordingWriter:
    """A recording that is being written. Lifetime: until `close`, after which it is one file."""

    def __init__(self, path: str) -> None:
        """Makes the file. Raises `CannotKeep`."""
        self._ids = dict.fromkeys(TABLES, 0)
        try:
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in _PRAGMAS:
                self._file.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise CannotKeep(str(error)) from error
        with _transaction(self._file):
            for statement in statements().values():
                self._file.execute(statement)

    def append(self, new: Slice) -> None:
        """Writes a slice. Raises `CannotKeep`; nothing of it is there then."""
        with _transaction(self._file):
            self._replace("process", map(_process_row, new.processes.items()))
            self._replace("thread", map(_thread_row, new.threads.items()))
            self._insert("function", map(_function_row, new.functions))
            self._insert("frame", map(_frame_row, new.frames))
            self._insert("stack", new.stacks)
            self._many("INSERT INTO sample VALUES (?, ?, ?, ?, ?)", new.samples)
            rows = ((second, process, reason.value, count) for second, process, reason, count in new.partial)
            self._many("INSERT INTO partial VALUES (?, ?, ?, ?)", rows)

    def name(self, names: Iterable[tuple[int, int, str]]) -> None:
        """Gives frames their functions, both by id, and their files' build ids. Raises `CannotKeep`."""
        with _transaction(self._file):
            rows = ((function, build_id, frame) for frame, function, build_id in names)
            self._many("UPDATE frame SET function = ?, build_id = ? WHERE id = ?", rows)

    def facts(self, facts: Mapping[str, str | int | float]) -> None:
        """Writes facts about the machine and the recording. Raises `CannotKeep`."""
        with _transaction(self._file):
            self._many("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())

    def finish(self, profile: Profile) -> None:
        """Writes what is known at the end: the facts, the notes and the ledger. Raises `CannotKeep`."""
        self.facts(facts_of(profile) | {"losses": losses_text(profile.losses)})
        with _transaction(self._file):
            self._many(
                "INSERT INTO note VALUES (CAST(? AS TEXT))", ((_text(each),) for each in profile.notes)
            )
            self._many(
                "INSERT INTO ledger VALUES (CAST(? AS TEXT), ?, ?, ?, ?, ?)",
                map(ledger_row, profile.losses.per_process),
            )

    def close(self) -> None:
        """Makes one file of it. Safe to call twice. Raises `CannotKeep`."""
        try:
            self._file.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.ProgrammingError:  # it is closed
            return
        except sqlite3.Error as error:
            raise CannotKeep(str(error)) from error
        self._file.close()

    def _insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Rows with the next ids."""
        numbered = []
        for row in rows:
            self._ids[table] += 1
            numbered.append((self._ids[table], *row))
        self._replace(table, numbered)

    def _replace(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        places = ", ".join(
            "CAST(? AS TEXT)" if " TEXT" in column else "?" for column in TABLES[table].split(", ")
        )
        self._many(f"INSERT OR REPLACE INTO {table} VALUES ({places})", rows)

    def _many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._file.executemany(statement, rows)


def add_fact(path: str, name: str, value: str | int | float) -> None:
    """Writes a fact into a recording that has been closed. Raises `CannotKeep`."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA synchronous = OFF")
            file.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
    except sqlite3.Error as error:
        raise CannotKeep(str(error)) from error


@contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    """All that is written in it is there, or nothing. Raises `CannotKeep`."""
    try:
        file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            file.execute("ROLLBACK")
            raise
        file.execute("COMMIT")
    except sqlite3.Error as error:
        raise CannotKeep(str(error)) from error


def facts_of(profile: Profile) -> dict[str, str | int | float]:
    """The facts about a recording that a profile has, by name."""
    facts: dict[str, str | int | float] = {
        "host": profile.host,
        "started_at": profile.started_at,
        "duration_s": profile.duration_s,
        "frequency_hz": profile.frequency_hz,
        "cpus": profile.cpus,
        "event": profile.event,
        "command": profile.command,
        "profiler_cpu_s": profile.profiler_cpu_s,
        "profiler_max_rss_bytes": profile.profiler_max_rss_bytes,
        "steps_s": json.dumps(dict(profile.steps_s)),
    }
    if profile.first_sample_s is not None:
        facts["first_sample_s"] = profile.first_sample_s
    return facts


def _text(text: str) -> bytes:
    """As SQLite has it. A target may call things by code points that are no characters."""
    return text.encode("utf-8", "surrogatepass")


def _process_row(item: tuple[int, tuple[Process, int, bytes | None]]) -> tuple[Any, ...]:
    at, (process, start_ns, merged) = item
    command = json.dumps(process.command)
    texts = (
        _text(process.executable),
        command,
        _text(process.container),
        _text(process.interpreters),
        merged,
    )
    return (at, process.pid, start_ns, process.comm, process.parent, process.uid, *texts)


def _thread_row(item: tuple[int, tuple[int, int, bytes, str]]) -> tuple[Any, ...]:
    at, (process, tid, comm, name) = item
    return (at, process, tid, comm, _text(name))


def _frame_row(row: FrameRow) -> tuple[int | bytes | str | None, ...]:
    return (row.function, row.line, row.is_inner, _text(row.path), row.address, row.build_id)


def _function_row(function: tuple[Frame, int | None]) -> tuple[bytes | int | None, ...]:
    frame, inlined_in = function
    return (_text(frame.kind), _text(frame.name), _text(frame.file), frame.line, inlined_in)
