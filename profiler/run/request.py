"""What is to be recorded, and how."""

from __future__ import annotations

import socket
from datetime import datetime

from msgspec import Struct

from profiler.capture.source import Sampling
from profiler.run.surroundings import COSTLY, WHOLE_ONLY
from symbolizers.errors import Reason


class Recording(Struct, frozen=True):
    """What to record. `duration_s` None: until `Session.stop`."""

    sampling: Sampling
    duration_s: float | None
    title: str
    asked_at_s: float
    """When the program was started, on CLOCK_MONOTONIC."""
    keep_partial: bool = False
    """Whether a stack of which a read would fault is kept, with a marker in that place."""
    drop_partial: bool = False
    """Whether a stack in which any frame lacks its name is dropped."""
    keep_dropped: bool = False
    """Whether dropped samples show as frames."""
    threads: bool = False
    """Whether the threads of a process are told apart."""
    containers: bool = False
    """Whether processes are shown under their containers."""
    keeps_lines: bool = False
    """Whether the lines that run are taken."""
    lines: bool = False
    """Whether they are shown, in the place of the functions' first."""
    native: bool = False
    """Whether the interpreters' own functions are shown, too."""
    inlines: bool = False
    """Whether functions that a compiler has inlined are shown, and source lines of native ones."""
    async_tasks: bool = False
    """Whether what awaits a running task is put under it."""
    without_self: bool = False
    """Whether our own samples are left out, where the whole system is recorded."""
    trusted: frozenset[int] = frozenset((0,))
    """The users (uids) whose processes may cost what they need: root, and whoever records."""

    def costly(self) -> frozenset[Reason]:
        """The reasons for which a frame without a name costs its stack."""
        if self.keep_partial:
            return frozenset()
        return WHOLE_ONLY if self.drop_partial else COSTLY

    def facts(self, cpus: int, started: datetime) -> dict[str, str | int | float]:
        """What a file of this recording tells about it from the start, even if it is cut off."""
        return {
            "host": socket.gethostname(),
            "started_at": started.isoformat(timespec="seconds"),
            "frequency_hz": self.sampling.frequency_hz,
            "cpus": cpus,
            "event": self.sampling.event,
            "command": self.title,
        }
