"""A recording that tells threads and tasks apart, of the process that runs the test."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import closing

from msgspec.structs import replace

from profiler.capture.source import Sampling
from profiler.profile.model import Profile, Thread
from profiler.run.request import Recording
from profiler.run.session import Progress, Session
from symbolizers.asker import Asker, Workers
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.kinds import PYTHON_TASK
from symbolizers.python.layouts_threads import THREADS
from tests.profiler.run.test_session import PATIENCE_S, Replay, sample
from tests.support.python_walk import find_python, raw_frame


def recorded_self(*, threads: bool, async_tasks: bool) -> Profile:
    """A profile of one sample in which this process runs `recorded_self` for a task that doesn't exist."""
    pid = os.getpid()
    with open_process(pid) as handle:
        file, _ = find_python(handle)
        frame = raw_frame(file.row, NowaitReader(handle), id(recorded_self.__code__))
    task = RawFrame(PYTHON_TASK << CAPTURE_KIND_SHIFT | 8, 0, 0)
    taken = replace(
        sample(pid, frames=(frame, task)), thread_pointer=threading.get_ident(), thread_comm=b"py\xff"
    )
    source = Replay([[taken], []])
    recording = Recording(
        Sampling(20, (pid,)),
        None,
        "a test",
        time.monotonic(),
        threads=threads,
        async_tasks=async_tasks,
    )
    with closing(source), closing(Asker(Workers())) as asker:
        session = Session(recording, source, asker)

        def until_done(now: Progress) -> None:
            assert now.elapsed_s < PATIENCE_S
            if source.configured and not source.batches and not asker.pending():
                session.stop()

        session.prepare()
        session.start()
        session.preload()
        return session.run(until_done)


def test_threads_and_tasks_are_looked_at_where_asked() -> None:
    name = "MainThread" if THREADS.find(tuple(sys.version_info[:2])) is not None else ""
    profile = recorded_self(threads=True, async_tasks=True)
    (found,) = profile.samples
    assert [frame.name for frame in found.frames] == ["recorded_self"]
    assert found.thread == Thread(b"py\xff", os.getpid(), name)
    assert profile.notes == ("samples of asyncio tasks that do not show what awaits them: 1",)


def test_and_else_not() -> None:
    profile = recorded_self(threads=False, async_tasks=False)
    (found,) = profile.samples
    assert [frame.name for frame in found.frames] == ["recorded_self"]
    assert found.thread is None
    assert profile.notes == ()
