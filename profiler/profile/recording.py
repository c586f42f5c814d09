"""Reads recordings (``.pidflame``): checks that a file is one, and makes a `Profile` of what a view shows.

A recording may come from anybody: the file is opened for reading alone, its schema has to be ours to the
letter, and every number in it is checked before it is used.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from profiler.errors import PidflameError, UsageError
from profiler.profile.frames import lineless
from profiler.profile.ledger import losses_of, process_losses
from profiler.profile.model import Losses, ProcessLosses, Profile, Root, Verdict
from profiler.profile.report import places_of, samples_of
from profiler.profile.rows import BadRow, Rows, check_rows, read_rows
from profiler.profile.schema import APPLICATION_ID, DROPPED, MAX_TEXT_BYTES, TABLES, VERSION, statements
from profiler.profile.summary import FACT, Summary, summary_from
from profiler.profile.view import View
from symbolizers.errors import Reason

_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "query_only = ON")
_READING = {
    *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE),
}
_LIMIT_LENGTH = 0
"""SQLITE_LIMIT_LENGTH in sqlite3.h."""
_EVERYTHING = View()
_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE NOT (type = 'index' AND sql IS NULL)"
_Number = TypeVar("_Number", int, float)


class BadRecording(PidflameError):
    """The file can't be read as a recording."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} can't be read as a recording: {reason}")


def read_profile(path: str, view: View = _EVERYTHING) -> Profile:
    """What `view` shows of the recording at `path`. Raises `BadRecording`."""
    with _refused(path), closing(_open(path)) as file:
        return _profile(file, view)


def read_summary(path: str) -> Summary | None:
    """What the usual view (`View()`) shows, if the recording keeps that. Raises `BadRecording`."""
    with _refused(path), closing(_open(path, ("fact",))) as file:
        found = file.execute("SELECT value FROM fact WHERE name = ?", (FACT,)).fetchone()
        return None if found is None else summary_from(str(found[0]))


@contextmanager
def _refused(path: str) -> Iterator[None]:
    """Raises `BadRecording` for what is wrong with the file or in it."""
    try:
        yield
    except (sqlite3.Error, BadRow, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadRecording(path, str(error) or type(error).__name__) from None
    except OSError as error:
        raise BadRecording(path, error.strerror or str(error)) from None


def query(path: str, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of columns and rows that a query gives. Raises `BadRecording`, and `UsageError` for the query."""
    try:
        with closing(_open(path)) as file:
            try:
                found = file.execute(text)
                return [each[0] for each in found.description or ()], found.fetchall()
            except sqlite3.Error as error:
                raise UsageError(f"SQLite can't run the query: {error}") from None
    except (sqlite3.Error, BadRow, OSError) as error:
        raise BadRecording(path, str(error)) from None


def _open(path: str, tables: Sequence[str] = tuple(TABLES)) -> sqlite3.Connection:
    """Checks the rows of these `tables`. Raises `BadRow`, OSError and `sqlite3.Error`."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise BadRow("it is no regular file")
    # What a recorder left behind that was killed has its last slices beside it.
    mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    file = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?{mode}", uri=True, isolation_level=None)
    try:
        _check(file)
        check_rows(file, tables)
    except BaseException:
        file.close()
        raise
    return file


def _check(file: sqlite3.Connection) -> None:
    if hasattr(file, "setlimit"):  # since Python 3.11
        file.setlimit(_LIMIT_LENGTH, MAX_TEXT_BYTES)
    file.text_factory = lambda text: text.decode("utf-8", "surrogatepass")
    for pragma in _PRAGMAS:
        file.execute(f"PRAGMA {pragma}")
    if file.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise BadRow("it is no recording of pidflame")
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise BadRow(f"it has version {version} of the format, and this pidflame reads version {VERSION}")
    file.set_authorizer(_only_reading)
    if {*file.execute(_SCHEMA)} != {("table", name, text) for name, text in statements().items()}:
        raise BadRow("its tables are not those of a recording")


def _only_reading(action: int, *_: str | None) -> int:
    """Says what a statement may do: not even attach another file."""
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _profile(file: sqlite3.Connection, view: View) -> Profile:
    rows = read_rows(file)
    facts = rows.facts
    (last_ms,) = file.execute("SELECT coalesce(max(time_ms), 0) FROM sample").fetchone()
    is_whole = "losses" in facts
    notes = [text for (text,) in file.execute("SELECT text FROM note")]
    if not is_whole:
        notes.append("the recording was cut off: names and samples of its last moments are missing")
    if view.filters_samples:
        notes.append("losses are those of the whole recording, whatever time, thread or frames are shown")
    frequency_hz = _number(facts, "frequency_hz", 0)
    if not frequency_hz:
        raise BadRow("it does not say how often it sampled")
    if view.lines and (note := lineless(zip(rows.frames, rows.lines, strict=True))):
        notes.append(note)
    steps = json.loads(str(facts.get("steps_s", "{}")))
    if not isinstance(steps, dict):
        raise BadRow("its steps are no names with times")
    return Profile(
        samples=samples_of(file, rows, view),
        places=places_of(file, rows, view) if view.places else {},
        losses=_shown(_ledger(file, str(facts["losses"])) if is_whole else _counted(file, rows), view, rows),
        host=str(facts.get("host", "")),
        started_at=str(facts.get("started_at", "")),
        duration_s=_number(facts, "duration_s", last_ms / 1000),
        frequency_hz=frequency_hz,
        cpus=_number(facts, "cpus", 0),
        event=str(facts.get("event", "")),
        profiler_cpu_s=_number(facts, "profiler_cpu_s", 0.0),
        profiler_max_rss_bytes=_number(facts, "profiler_max_rss_bytes", 0),
        first_sample_s=_number(facts, "first_sample_s", 0.0) if "first_sample_s" in facts else None,
        steps_s={str(name): float(took_s) for name, took_s in steps.items()},
        command=str(facts.get("command", "")),
        notes=tuple(notes),
    )


def _number(facts: Any, name: str, otherwise: _Number) -> _Number:
    """A fact that is a number of the same type. Raises `ValueError`."""
    value = type(otherwise)(facts.get(name, otherwise))
    if not 0 <= value < 1 << 53:
        raise ValueError(f"{name} is {value}")
    return value


def _ledger(file: sqlite3.Connection, text: str) -> Losses:
    columns = "CAST(comm AS BLOB), pid, processes, samples, symbolized, figures"
    return losses_of(
        text, tuple(process_losses(*row) for row in file.execute(f"SELECT {columns} FROM ledger"))
    )


def _counted(file: sqlite3.Connection, rows: Rows) -> Losses:
    """The ledger of a recording that was cut off before it was written; without verdicts."""
    reasons = {frame: reason for reason, frame in DROPPED.items()}
    samples: Counter[int] = Counter()
    dropped: dict[int, Counter[Reason]] = {}
    query = (
        "SELECT thread.process, sample.stack, sum(sample.weight) FROM sample, thread"
        " WHERE thread.id = sample.thread GROUP BY 1, 2"
    )
    for process, stack, count in file.execute(query):
        samples[process] += count
        reason = reasons.get(rows.frames[rows.ends[stack]])
        if reason is not None:
            dropped.setdefault(process, Counter())[reason] += count
    partial: dict[int, Counter[Reason]] = {}
    for process, reason, count in file.execute("SELECT process, reason, samples FROM partial"):
        partial.setdefault(process, Counter())[Reason(reason)] += count
    per_process = []
    for process, count in samples.most_common():
        lost, lacking = dropped.get(process, Counter()), partial.get(process, Counter())
        known = rows.processes[process][0]
        symbolized = count - lost.total() - lacking.total()
        row = ProcessLosses(Root(known.comm, known.pid), count, symbolized, dict(lost), partial=dict(lacking))
        per_process.append(row)
    return _total(per_process, 0, Verdict())


def _total(per_process: Iterable[ProcessLosses], lost: int, rest: Verdict) -> Losses:
    rows = tuple(per_process)
    dropped: Counter[Reason] = Counter()
    partial: Counter[Reason] = Counter()
    for row in rows:
        dropped.update(row.dropped)
        partial.update(row.partial)
    samples, symbolized = sum(row.samples for row in rows), sum(row.symbolized for row in rows)
    return Losses(samples, symbolized, dict(dropped), lost, rows, rest, dict(partial))


def _shown(losses: Losses, view: View, rows: Rows) -> Losses:
    """The losses of the processes that are shown."""
    if not view.filters_processes:
        return losses
    shown = {
        (process.comm, process.pid) if merged is None else (merged, 0)
        for process, merged in rows.processes[1:]
        if view.takes_process(process)
    }
    kept = (row for row in losses.per_process if (row.root.comm, row.root.pid) in shown)
    return _total(kept, losses.lost, losses.rest)
