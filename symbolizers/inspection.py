"""What the worker tells about a process: plain values, cheap to import where no process is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from symbolizers.base import Interpreter
from symbolizers.process.identity import ProcessId

FileKey = tuple[int, int, int]
"""Device major, minor and inode: a file's identity as /proc/PID/maps gives it."""

VDSO: FileKey = (0, 0, 0)
"""Stands for the kernel's ``[vdso]``, which is no file but the same code in every process."""


class CodeMapping(NamedTuple):
    """One executable mapping: addresses ``start`` to ``end``, from ``offset`` of a file on.

    `file` is None for memory without a file; `path` as in /proc/PID/maps.
    """

    start: int
    end: int
    offset: int
    file: FileKey | None
    path: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An interpreter that no layout row describes: the `Inspection`'s notes say the same to people."""

    language: str
    version: str
    supported: str


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file holds, in whichever process it is mapped.

    Its code is mapped at `code_distance` + offset + bias; the `interpreters` in it are those of bias 0.
    """

    file: FileKey
    code_distance: int
    interpreters: tuple[Interpreter, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What must be known about a process before any of its samples can be named."""

    process: ProcessId
    mappings: tuple[CodeMapping, ...]
    """Sorted by address."""
    interpreters: tuple[Interpreter, ...]
    notes: tuple[str, ...]
    unsupported: tuple[Unsupported, ...] = ()
    files: tuple[FileContents, ...] = ()
    """Those of the mapped files that could be looked into."""
