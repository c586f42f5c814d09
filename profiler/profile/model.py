"""A finished recording as frozen values: stacks with their counts, and the ledger of what was lost.

Bytes from a target (comm) stay bytes here and names stay as the target calls them: text is made, and
escaped, by the exporters alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from profiler.profile.places import Place
from symbolizers.errors import Reason
from symbolizers.frame import Frame


class Root(NamedTuple):
    """The bottom of a stack: the process, by the name that it had last.

    A long recording counts processes that have ended by their program: `processes` of them, and `pid` is 0.
    With `is_group`, those are all that `comm` says, whether they have ended or not.
    """

    comm: bytes
    pid: int
    processes: int = 0
    is_group: bool = False
    container: str = ""
    """The container around it, where containers are shown; empty if it ran in none, or if they are not."""


class Thread(NamedTuple):
    """The thread that ran, by the name that the kernel had for it last.

    `name` is what its language calls it, empty where that is not known.
    """

    comm: bytes
    tid: int
    name: str = ""


class Process(Struct, frozen=True):
    """A process that was recorded, as it was when it was last seen. What is not known is empty or 0."""

    pid: int
    comm: bytes
    parent: int = 0
    """The pid of the process that started it."""
    uid: int = 0
    """Its real user, in the initial user namespace."""
    executable: str = ""
    command: tuple[str, ...] = ()
    """Its command line."""
    container: str = ""
    """The short id or the name of its container, behind those of the pod and the containers around it, with
    slashes between; empty if it ran in none that shows."""
    interpreters: str = ""
    """The languages that it interprets and their versions: ``python 3.11.2, ruby 3.1.2``."""


class Sample(Struct, frozen=True):
    """A symbolized stack, root first, and how many samples show exactly it."""

    root: Root
    frames: tuple[Frame, ...]
    count: int
    thread: Thread | None = None
    """The thread, between `root` and the frames; None unless threads are told apart."""
    times_ms: tuple[int, ...] = ()
    """When each of the samples was taken, from the start of the recording, ascending; empty if not known."""
    process: Process | None = None
    """The process, if it is known and `root` is not several."""


class Feature(str, Enum):
    """A feature in which lost samples can be unlike the kept ones; all are captured at the interrupt."""

    THREAD = "thread"
    FUNCTION = "function"
    ADDRESS = "address"


class Verdict(Struct, frozen=True):
    """Whether a loss matters. `share` of the samples was lost; the true share is `low` to `high` (95 %)."""

    share: float = 0.0
    low: float = 0.0
    high: float = 0.0
    too_many: bool = False
    unlike: tuple[Feature, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether a person should be warned."""
        return self.too_many or bool(self.unlike)


class NativeEnd(str, Enum):
    """How the native stack of a sample ended, if it has one. The values are keys in ``--stats``."""

    ROOT = "root"
    """At the start of the program or of a thread: it is whole."""
    DEEP = "deep"
    NO_TABLE = "no_table"
    """It leads through a file whose unwind table was not there (yet)."""
    WOULD_FAULT = "would_fault"
    LOST = "lost"
    """Nothing says where the caller is."""


class ProcessLosses(Struct, frozen=True):
    """What one process contributed.

    ``samples == symbolized + sum(partial.values()) + sum(dropped.values())``: whole stacks, stacks in which a
    marker stands in the place of a frame, and samples without a stack. The verdict is on the latter and on
    those whose leaf has no name.
    """

    root: Root
    samples: int
    symbolized: int
    dropped: Mapping[Reason, int]
    note: str = ""
    """What a person should know about this process, for example an unsupported interpreter version."""
    verdict: Verdict = Verdict()
    partial: Mapping[Reason, int] = field(default_factory=dict)
    hit: tuple[Frame, ...] = ()
    """The functions next to frames without a name: the few that were hit most often, in this order."""
    native: Mapping[NativeEnd, int] = field(default_factory=dict)
    """How its native stacks ended."""


class Losses(Struct, frozen=True):
    """The ledger of a run, with the parts of `ProcessLosses`; `lost` comes on top.

    `lost` counts samples that found the ring buffer full, of which nothing but the number is known.
    """

    samples: int
    symbolized: int
    dropped: Mapping[Reason, int]
    lost: int
    per_process: tuple[ProcessLosses, ...] = ()
    rest: Verdict = Verdict()
    """The verdict on all losses but those that are significant for one process; includes `lost`."""
    partial: Mapping[Reason, int] = field(default_factory=dict)


class Profile(Struct, frozen=True):
    """A finished recording, ready for any exporter."""

    samples: tuple[Sample, ...]
    losses: Losses
    host: str
    started_at: str
    """Local time with zone, ISO 8601 to the second."""
    duration_s: float
    frequency_hz: int
    cpus: int
    event: str = "cpu-clock"
    profiler_cpu_s: float = 0.0
    profiler_max_rss_bytes: int = 0
    first_sample_s: float | None = None
    """From the start of pidflame to the first sample; None without one."""
    steps_s: Mapping[str, float] = field(default_factory=dict)
    """How long each step took until the profile was there, in their order."""
    command: str = ""
    """What was recorded, in words for a title: ``whole system``, ``python3 (12)``, a command line."""
    notes: tuple[str, ...] = ()
    places: Mapping[Frame, Place] = field(default_factory=dict)
    """Where frames are, as far as more is known than they say."""


def with_note(profile: Profile, note: str) -> Profile:
    """The profile with one more note, unless it is empty."""
    return replace(profile, notes=(*profile.notes, note)) if note else profile
