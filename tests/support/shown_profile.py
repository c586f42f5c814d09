"""A small recording with every kind of frame, several processes and threads: for readers that people use."""

from __future__ import annotations

from msgspec.structs import replace

from profiler.profile.model import Losses, Process, Profile, Root, Sample, Thread
from profiler.profile.places import Place
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, KERNEL, MARKER, NATIVE, Frame

FREQUENCY_HZ = 20
PERIOD_NS = 50_000_000
DURATION_MS = 4000

WEB, OTHER_WEB, NODE = Root(b"web", 12), Root(b"web", 13), Root(b"node", 77)
WORKER, LOGGER = Thread(b"web", 12, "worker"), Thread(b"web", 15, "logger")
IN_CONTAINER = Process(13, b"web", 1, 33, "/usr/bin/web", ("web", "--port", "80"), "3f4e")

MAIN = Frame("python", "<module>", "app.py", 1)
HANDLE = Frame("python", "View.handle", "views.py", 40)
SCRIPT = Frame("python", "</script><b>", "x;y.py", 3)
READ = Frame(NATIVE, "read", "libc.so.6")
SORT = Frame(NATIVE, "std::sort<…>", "libsort.so")
KERNEL_READ = Frame(KERNEL, "vfs_read")
RENDER = Frame(GENERATED, "render", "page.js", 7)
CUT = Frame(MARKER, "[truncated]")

NAMES = (
    "<module>",
    "View.handle",
    "</script><b>",
    "read",
    "std::sort<…>",
    "vfs_read",
    "render",
    "[truncated]",
)


def _timed(root: Root, thread: Thread, times: range, *frames: Frame) -> Sample:
    return Sample(root, frames, len(times), thread, tuple(times))


SHOWN = Profile(
    samples=(
        _timed(WEB, WORKER, range(0, 2000, 50), MAIN, HANDLE),
        _timed(WEB, WORKER, range(2000, 3000, 100), MAIN, HANDLE, READ, KERNEL_READ),
        _timed(WEB, LOGGER, range(0, 4000, 200), MAIN, SCRIPT),
        Sample(OTHER_WEB, (CUT, MAIN, SORT), 30, None, (), IN_CONTAINER),
        Sample(NODE, (RENDER,), 10),
    ),
    losses=Losses(115, 110, {Reason.WOULD_FAULT: 5}, 3),
    host="machine",
    started_at="2026-11-23T01:07:03+00:00",
    duration_s=DURATION_MS / 1000,
    frequency_hz=FREQUENCY_HZ,
    cpus=2,
    command="whole system",
    notes=("a note",),
)
"""110 samples: 50 and 20 of the threads of one process, 30 and 10 of two others whose times are not known."""

UNTIMED = replace(
    SHOWN,
    samples=tuple(
        Sample(each.root, each.frames, each.count, None, (), each.process) for each in SHOWN.samples
    ),
)
"""The same, with neither threads nor times."""

PLACED = replace(
    SHOWN,
    places={
        HANDLE: Place(first_line=38),
        READ: Place(address=0x1234, build_id="0f1e2d"),
        KERNEL_READ: Place(address=0xFFFF_FFFF_8100_0000),
    },
)
"""The same, where it is known where some of its frames are."""
