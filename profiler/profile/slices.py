"""A part of a recording, as whoever records hands it to the file."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

from profiler.profile.model import Process
from symbolizers.errors import Reason
from symbolizers.frame import Frame


class CannotKeep(Exception):
    """A recording can't be written to its file; the text says why."""


class FrameRow(NamedTuple):
    """A frame. What is not known is 0, empty, or None."""

    function: int | None
    line: int = 0
    """The line of the function that runs."""
    is_inner: bool = False
    """Whether it is hidden unless the interpreters' own functions are asked for."""
    path: str = ""
    address: int = 0
    """The offset in the file at `path`, or an address in memory without one."""
    build_id: str = ""
    """That of the file, in hexadecimal."""


class Slice(Struct, frozen=True):
    """What came since the slice before, as rows: see docs/RECORDING.md. Ids are from 1 on, without gaps.

    A process and a thread that is there already is replaced.
    """

    processes: dict[int, tuple[Process, int, bytes | None]] = field(default_factory=dict)
    """By id, each with its start (ns, CLOCK_BOOTTIME), and what it is merged as."""
    threads: dict[int, tuple[int, int, bytes, str]] = field(default_factory=dict)
    """By id: process, tid, comm and name."""
    functions: list[tuple[Frame, int | None]] = field(default_factory=list)
    """Each with the function that it is inlined in, if it is."""
    frames: list[FrameRow] = field(default_factory=list)
    stacks: list[tuple[int | None, int]] = field(default_factory=list)
    """Parent and frame."""
    samples: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """Time (ms), thread, CPU, stack and weight."""
    partial: list[tuple[int | None, int, Reason, int]] = field(default_factory=list)
    """Second, process, reason and samples."""
