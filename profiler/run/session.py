"""One recording from start to profile: the only place that knows all stages of the pipeline."""

from __future__ import annotations

import math
import random
import resource
import selectors
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread

import psutil

from profiler.capture.records import RawSample
from profiler.capture.source import SampleSource, Sampling
from profiler.profile.model import Profile
from profiler.run.aggregate import Aggregator
from profiler.run.processes import ProcessTable
from profiler.run.stacks import Element, KernelAddress, NativeAddress
from profiler.run.tasks import TaskOf, TaskStacks
from profiler.run.threads import ThreadNames, ThreadsOf
from symbolizers.frame import Frame
from symbolizers.inspection import FileKey
from symbolizers.native.kernel import KernelSymbols
from symbolizers.native.unnamed import mapping_frame
from symbolizers.process.deadline import DeadlineWorker, Reply, Request

_POLL_S = (0.05, 0.15)
"""How long the session sleeps where nothing wakes it: a random time, in step with nothing."""
_POLL_FOR_TASKS_S = (0.004, 0.012)
"""The same where tasks are looked at, many of which are over soon."""
_LOADING_S = 10.0
"""How long to sleep at most until the sampler says that it is loaded."""
_WAKE_BYTES = 4096
_DISCOVERY_S = 1.0
"""How long the sampling waits, once it could begin, for what is still to be learnt of the processes."""
_LAST_ANSWERS_S = 0.25
"""How long the end of a recording waits for code objects that are still being read."""
_NAMES_S = 10.0
"""How long native names may take in all; each file has its own deadline besides."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What to record. `duration_s` None: until `Session.stop`."""

    sampling: Sampling
    duration_s: float | None
    lines: bool
    title: str
    asked_at_s: float
    """When the program was started, on CLOCK_MONOTONIC."""
    keep_dropped: bool = False
    """Whether dropped samples show as frames."""
    threads: bool = False
    """Whether the threads of a process are told apart."""
    async_tasks: bool = False
    """Whether what awaits a running task is put under it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a recording stands, for a progress line."""

    elapsed_s: float
    samples: int


class Session:
    """Drives one recording. `source` is the kernel or a recording of it, `worker` asks about targets."""

    def __init__(self, recording: Recording, source: SampleSource, worker: DeadlineWorker) -> None:
        self._recording = recording
        self._source = source
        self._worker = worker
        self._aggregator = Aggregator(keep_dropped=recording.keep_dropped, threads=recording.threads)
        self._tasks = TaskStacks(
            submit=lambda request: worker.submit(request, urgent=True),
            emit=self._aggregator.add,
            drop=self._aggregator.drop,
        )
        self._table = ProcessTable(
            submit=lambda request, urgent: worker.submit(request, urgent=urgent),
            emit=self._tasks.emit,
            drop=self._tasks.drop,
            note=self._aggregator.note,
            configure=self._source.configure,
            lines=recording.lines,
        )
        self._threads = ThreadNames(worker.submit)
        self._samples = 0
        self._first_sample_s: float | None = None
        self._notes: list[str] = []
        self._stopped = False
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._started_s = 0.0
        self._wall = datetime.now().astimezone()
        self._early: list[Reply] = []

    def stop(self) -> None:
        """Ends the recording at once; may be called from a signal handler."""
        self._stopped = True
        with suppress(BlockingIOError):  # woken often enough
            self._wake.send(b"s")

    def prepare(self) -> None:
        """Loads the sampler while the worker looks at the processes that run already.

        Raises `PrerequisiteError`.
        """
        targets = self._recording.sampling.targets
        pids = psutil.pids() if targets is None else list(targets)
        self._table.discover(pids, time.monotonic_ns())
        failures: list[BaseException] = []
        done = Event()

        def load() -> None:
            try:
                self._source.load()
            except BaseException as error:
                failures.append(error)
            finally:
                done.set()
                self._wake.send(b"l")

        loader = Thread(target=load, name="load")
        loader.start()
        while not done.is_set():
            self._early += self._await_worker(_LOADING_S)
        # Mostly all is known by now; if not, a little later is better than first samples without frames.
        end_s = time.monotonic() + _DISCOVERY_S
        while self._worker.pending() and not self._stopped and time.monotonic() < end_s:
            self._early += self._await_worker(end_s - time.monotonic())
        loader.join()
        if failures:
            raise failures[0]

    def start(self) -> None:
        """Begins to sample. Raises `PrerequisiteError` when the kernel does not let us."""
        for reply in self._early:
            self._take(reply)
        self._source.start()
        self._table.listen(time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.monotonic_ns())
        for pid in self._recording.sampling.targets or ():
            if not psutil.pid_exists(pid):  # it ended before its exit could be seen
                self._source.drop_target(pid)
        self._end_without_targets()
        self._started_s = time.monotonic()
        self._wall = datetime.now().astimezone()

    def run(self, progress: Callable[[Progress], None] | None = None) -> Profile:
        """Samples until the duration is over or `stop` is called, and names what was sampled."""
        self._record(progress)
        self._source.stop()
        duration_s = time.monotonic() - self._started_s
        self._drain()
        self._finish_reads()
        return self._profile(duration_s, self._names())

    def _record(self, progress: Callable[[Progress], None] | None) -> None:
        duration_s = self._recording.duration_s
        end_s = math.inf if duration_s is None else self._started_s + duration_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(self._source, selectors.EVENT_READ)
            worker_fd = self._worker.fileno()
            selector.register(worker_fd, selectors.EVENT_READ)
            while not self._stopped and (now_s := time.monotonic()) < end_s:
                pace_s = random.uniform(*(_POLL_FOR_TASKS_S if self._recording.async_tasks else _POLL_S))
                answer_s = self._worker.timeout_s()
                self._select(selector, min(pace_s, end_s - now_s, pace_s if answer_s is None else answer_s))
                self._drain()
                self._end_without_targets()
                for reply in self._worker.collect():
                    self._take(reply)
                if self._worker.fileno() != worker_fd:
                    selector.unregister(worker_fd)
                    worker_fd = self._worker.fileno()
                    selector.register(worker_fd, selectors.EVENT_READ)
                if progress is not None:
                    progress(Progress(time.monotonic() - self._started_s, self._samples))

    def _end_without_targets(self) -> None:
        # only ever set: `stop` may be called in the middle of this
        if not self._source.has_targets():
            self._stopped = True

    def _drain(self) -> None:
        for record in self._source.drain():
            if isinstance(record, RawSample):
                if not self._samples:
                    self._first_sample_s = record.time_ns / 1e9 - self._recording.asked_at_s
                self._samples += 1
                if self._recording.async_tasks:
                    self._tasks.sample(record)
                self._table.sample(record)
                if self._recording.threads:
                    self._threads.sample(record)
            else:
                self._table.event(record)

    def _take(self, reply: Reply) -> None:
        if isinstance(reply.request.subject, ThreadsOf):
            self._threads.reply(reply)
        elif isinstance(reply.request.subject, TaskOf):
            self._tasks.reply(reply)
        else:
            self._table.reply(reply)

    def _await_worker(self, longest_s: float) -> list[Reply]:
        timeout_s = self._worker.timeout_s()
        with selectors.DefaultSelector() as selector:
            selector.register(self._worker.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            self._select(selector, longest_s if timeout_s is None else min(longest_s, timeout_s))
        return self._worker.collect()

    def _select(self, selector: selectors.BaseSelector, timeout_s: float) -> None:
        for key, _ in selector.select(timeout_s):
            if key.fileobj is self._woken:
                self._woken.recv(_WAKE_BYTES)

    def _finish_reads(self) -> None:
        """Asks once more for what could not be read; then what still lacks a name is dropped."""
        end_s = time.monotonic() + _LAST_ANSWERS_S
        self._table.retry()
        self._threads.retry()
        while self._worker.pending() and time.monotonic() < end_s:
            for reply in self._await_worker(end_s - time.monotonic()):
                self._take(reply)
        self._table.finish()
        self._tasks.finish()
        if self._tasks.alone:
            self._notes.append(
                f"samples of asyncio tasks that do not show what awaits them: {self._tasks.alone}"
            )

    def _names(self) -> dict[Element, Frame]:
        """A frame for every native and kernel address that was sampled."""
        kernel: set[KernelAddress] = set()
        files: dict[FileKey, set[NativeAddress]] = defaultdict(set)
        for element in self._aggregator.elements():
            if isinstance(element, KernelAddress):
                kernel.add(element)
            elif isinstance(element, NativeAddress):
                files[element.file].add(element)
        symbols = KernelSymbols()
        resolved = symbols.resolve(element.address for element in kernel)
        names: dict[Element, Frame] = {element: resolved[element.address] for element in kernel}
        if symbols.hidden and kernel:
            self._notes.append("kernel names are hidden (sysctl kernel.kptr_restrict=0 shows them)")
        for element, frame in self._native_names(files):
            names[element] = frame
        return names

    def _native_names(self, files: dict[FileKey, set[NativeAddress]]) -> Iterator[tuple[Element, Frame]]:
        batches: dict[Hashable, tuple[NativeAddress, ...]] = {
            file: tuple(found) for file, found in files.items()
        }
        for file, batch in batches.items():
            offsets = [element.offset for element in batch]
            self._worker.submit(Request(file, "names", (file, batch[0].path, offsets)))
        end_s = time.monotonic() + _NAMES_S
        while self._worker.pending() and time.monotonic() < end_s:
            for reply in self._await_worker(end_s - time.monotonic()):
                if reply.request.method == "names" and isinstance(reply.value, list):
                    batch = batches.pop(reply.request.subject)
                    yield from zip(batch, reply.value, strict=True)
        for batch in batches.values():
            for element in batch:
                yield element, mapping_frame(element.path, element.offset)

    def _profile(self, duration_s: float, names: dict[Element, Frame]) -> Profile:
        worker = self._worker.usage()
        own = resource.getrusage(resource.RUSAGE_SELF)
        lost = self._source.lost()
        self._notes += self._source.notes()
        if lost.events:
            self._notes.append(
                f"{lost.events} execs and exits were lost (ring buffer full): native names of these processes"
                " may be of the program before"
            )
        return Profile(
            samples=self._aggregator.samples(names, self._threads.names()),
            losses=self._aggregator.losses(lost=lost.samples),
            host=socket.gethostname(),
            started_at=self._wall.isoformat(timespec="seconds"),
            duration_s=duration_s,
            frequency_hz=self._recording.sampling.frequency_hz,
            cpus=self._source.cpus(),
            event=self._recording.sampling.event,
            profiler_cpu_s=own.ru_utime + own.ru_stime + worker.cpu_s,
            profiler_max_rss_bytes=own.ru_maxrss * 1024 + worker.max_rss_bytes,
            first_sample_s=self._first_sample_s,
            command=self._recording.title,
            notes=tuple(self._notes),
        )
