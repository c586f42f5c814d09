"""The public API: a finished recording as plain values, for programs that work with one.

It needs neither root nor BCC nor anything that takes samples. A `Profile` holds `Sample`s (stacks, root
first, with their counts) and `Losses`, the ledger of what was not seen. Names are text from the targets:
whoever writes them out must escape them, as `profiler.export` does.
"""

from __future__ import annotations

from profiler.profile.model import (
    Feature,
    Losses,
    NativeEnd,
    Process,
    ProcessLosses,
    Profile,
    Root,
    Sample,
    Thread,
    Verdict,
)
from profiler.profile.naming import with_names
from profiler.profile.paths import short_file
from profiler.profile.short_names import short_name
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, INLINED, KERNEL, MARKER, NATIVE, Frame

__all__ = [
    "GENERATED",
    "INLINED",
    "KERNEL",
    "MARKER",
    "NATIVE",
    "Feature",
    "Frame",
    "Losses",
    "NativeEnd",
    "Process",
    "ProcessLosses",
    "Profile",
    "Reason",
    "Root",
    "Sample",
    "Thread",
    "Verdict",
    "short_file",
    "short_name",
    "with_names",
]
