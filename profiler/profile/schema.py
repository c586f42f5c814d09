"""The schema of a recording (``.pidflame``), a SQLite database: see docs/RECORDING.md.

A recording may come from anybody. So nothing but this very schema is read: no view, no trigger, no index
and no table besides it.
"""

from __future__ import annotations

from typing import Final

from symbolizers.errors import Reason
from symbolizers.frame import MARKER, Frame

APPLICATION_ID: Final = 0x70696466
"""``pidf``; in the header of the file."""
VERSION: Final = 1
"""The `user_version` of what is written; no other one is read."""
MAX_TEXT_BYTES: Final = 1 << 20
"""The longest text in it."""
KERNEL_PATH: Final = "[kernel]"
"""The path of a frame whose address is in the kernel."""
DROPPED: Final = {reason: Frame(MARKER, f"[dropped: {reason.value.replace('_', ' ')}]") for reason in Reason}
"""The only frame of a sample that was dropped, by the reason."""

TABLES: Final = {
    "fact": "name TEXT PRIMARY KEY, value ANY",
    "process": (
        "id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, comm TEXT NOT NULL,"
        " parent INTEGER NOT NULL, uid INTEGER NOT NULL, executable TEXT NOT NULL, command TEXT NOT NULL,"
        " container TEXT NOT NULL, interpreters TEXT NOT NULL, merged TEXT"
    ),
    "thread": (
        "id INTEGER PRIMARY KEY, process INTEGER NOT NULL, tid INTEGER NOT NULL, comm TEXT NOT NULL,"
        " name TEXT NOT NULL"
    ),
    "function": (
        "id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, file TEXT NOT NULL,"
        " line INTEGER NOT NULL, inlined_in INTEGER"
    ),
    "frame": (
        "id INTEGER PRIMARY KEY, function INTEGER, line INTEGER NOT NULL, inner INTEGER NOT NULL,"
        " path TEXT NOT NULL, address INTEGER NOT NULL, build_id TEXT NOT NULL"
    ),
    "stack": "id INTEGER PRIMARY KEY, parent INTEGER, frame INTEGER NOT NULL",
    "sample": (
        "time_ms INTEGER NOT NULL, thread INTEGER NOT NULL, cpu INTEGER NOT NULL, stack INTEGER NOT NULL,"
        " weight INTEGER NOT NULL"
    ),
    "partial": ("second INTEGER, process INTEGER NOT NULL, reason TEXT NOT NULL, samples INTEGER NOT NULL"),
    "ledger": (
        "comm TEXT NOT NULL, pid INTEGER NOT NULL, processes INTEGER NOT NULL, samples INTEGER NOT NULL,"
        " symbolized INTEGER NOT NULL, figures TEXT NOT NULL"
    ),
    "note": "text TEXT NOT NULL",
}
"""By name, the columns of each."""


def statements() -> dict[str, str]:
    """What makes each table, as ``sqlite_schema`` keeps it, by the table's name."""
    return {name: f"CREATE TABLE {name} ({columns}) STRICT" for name, columns in TABLES.items()}
