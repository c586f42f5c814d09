"""One recording from start to profile: the only place that knows all stages of the pipeline."""

from __future__ import annotations

import math
import os
import resource
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain
from threading import Event, Thread

from msgspec import Struct

from profiler.capture.records import CodeName, ProcessEvent, RawSample, Repeated
from profiler.capture.source import SampleSource
from profiler.profile.frames import lineless
from profiler.profile.model import Profile, with_note
from profiler.profile.view import View
from profiler.run.accounts import HotProgram
from profiler.run.aggregate import Aggregator
from profiler.run.allowance import Allowances
from profiler.run.collecting import survivors_aside
from profiler.run.deferred import Deferred
from profiler.run.descriptions import Descriptions
from profiler.run.journal import Journal
from profiler.run.mappings import KnownFiles
from profiler.run.nameless import notes_on
from profiler.run.names import AddressNames, name_kernel
from profiler.run.own import OwnSamples
from profiler.run.pace import Alarm, Pace
from profiler.run.processes import ProcessTable
from profiler.run.request import Recording
from profiler.run.stacks import Element, KernelAddress, running_lines
from profiler.run.steps import Steps
from profiler.run.surroundings import Surroundings
from profiler.run.tasks import TaskStacks
from profiler.run.threads import ThreadNames
from profiler.run.unwinding import Unwinding
from symbolizers.asker import Asker, Readable
from symbolizers.base import Interpreter
from symbolizers.frame import Frame
from symbolizers.process.identity import pids_with_program
from symbolizers.process.usage import peak_bytes_of

_LOADING_S = 10.0
"""How long to sleep at most until the sampler says that it is loaded."""
_WAKE_BYTES = 4096
_DISCOVERY_S = 2.0
"""How long sampling that could begin waits for what is still to be learnt about the processes."""
_MOST_FETCHED = 8
"""Files whose symbols are fetched."""
_LAST_ANSWERS_S = 0.1
"""How long after its end a recording waits for code objects that are still being read."""
_LAST_TABLES_S = 3.0
"""How long after its end it waits for the unwind tables that samples of trusted users wait for."""


class Progress(Struct, frozen=True):
    """Where a recording stands, for a progress line."""

    elapsed_s: float
    samples: int
    hottest: Callable[[], HotProgram | None]
    """Looks for the program with most samples so far: not for every call, but a few times a second."""
    is_over: bool = False
    """Whether sampling has ended, and the samples are being named."""


class Session:
    """Drives one recording. `source` is the kernel or a recording of it, `asker` asks about targets."""

    def __init__(
        self,
        recording: Recording,
        source: SampleSource,
        asker: Asker,
        step_ended: Callable[[str, float], None] | None = None,
        fetch: Callable[[Iterable[str]], Sequence[str]] | None = None,
    ) -> None:
        """`step_ended` is called at the end of each step, with its name and the seconds that it took.

        `fetch` gets files with symbols by their build ids, in hexadecimal, and returns those that came.
        """
        self._steps = Steps(recording.asked_at_s, step_ended)
        self._recording = recording
        self._fetch = fetch
        self._source = source
        self._asker = asker
        self._allowances = Allowances(recording.trusted)
        self._files = KnownFiles()
        self._names = AddressNames(
            asker,
            is_trusted=self._allowances.is_trusted,
            owner_of=self._files.owner,
            inlines=recording.inlines,
            fetches=fetch is not None,
            on_replaced=lambda process: self._table.renamed(process),
        )
        self._aggregator = Aggregator(
            keep_dropped=recording.keep_dropped,
            threads=recording.threads,
            containers=recording.containers,
            allowances=self._allowances,
            on_address=self._names.add,
            known=self._names.known,
        )
        self._view = View(lines=recording.lines, native=recording.native)
        self._journal: Journal | None = None
        self._tasks = TaskStacks(
            ask=asker.ask,
            emit=self._aggregator.add,
            drop=self._aggregator.drop,
        )
        self._tables = Unwinding(asker.ask, source)
        self._deferred = Deferred()
        # What is inlined takes long to name, threads change their names, and tasks end.
        self._deferred.is_used = not (recording.inlines or recording.threads or recording.async_tasks)
        self._table = ProcessTable(
            Surroundings(
                files=self._files,
                ask=asker.ask,
                emit=self._tasks.emit,
                drop=self._tasks.drop,
                ended=self._aggregator.ended,
                note=self._aggregator.note,
                runs=self._aggregator.runs,
                blame=self._aggregator.blame,
                configure=self._configure,
                tables=self._tables,
                lines=recording.keeps_lines,
                costly=recording.costly(),
                allowances=self._allowances,
                deferred=self._deferred,
            )
        )
        self._threads = ThreadNames(asker.ask)
        self._descriptions = Descriptions(
            asker.ask, meet=self._aggregator.meet, learn=self._aggregator.describe
        )
        self._samples = 0
        leaves_out = recording.without_self and recording.sampling.targets is None
        self._own = OwnSamples() if leaves_out else None
        self._first_sample_s: float | None = None
        self._notes: list[str] = []
        self._stopped = False
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._is_loaded = False
        self._has_new_walkers = False
        self._started_s = 0.0
        self._wall = datetime.now().astimezone()

    def stop(self) -> None:
        """Ends the recording at once; may be called from a signal handler."""
        self._stopped = True
        with suppress(BlockingIOError):  # it was woken often enough
            self._wake.send(b"s")

    def prepare(self) -> None:
        """Loads the sampler while the worker looks at the processes that run already.

        Raises `PrerequisiteError`.
        """
        self._steps.end("start")
        targets = self._recording.sampling.targets
        pids = pids_with_program() if targets is None else list(targets)
        self._table.discover(pids, time.monotonic_ns())
        failures: list[BaseException] = []
        done = Event()

        def load() -> None:
            try:
                self._source.load(self._walkers_came)
            except BaseException as error:
                failures.append(error)
            finally:
                done.set()
                self._wake.send(b"l")

        loader = Thread(target=load, name="load")
        loader.start()
        while not done.is_set():
            self._wait(_LOADING_S)
        loader.join()
        if failures:
            raise failures[0]
        self._steps.end("load")
        # Walkers are loaded for the interpreters that are known, while the worker looks for more.
        self._is_loaded = True
        self._table.configure()
        # Usually all is known by now; if not, a later start is better than first samples without frames.
        end_s = time.monotonic() + _DISCOVERY_S
        while self._asker.pending() and not self._stopped and time.monotonic() < end_s:
            self._wait(end_s - time.monotonic())
        self._steps.end("discovery")

    def start(self) -> None:
        """Begins to sample. Raises `PrerequisiteError` when the kernel does not let us."""
        self._source.start()
        self._table.listen(time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.monotonic_ns())
        self._complete_targets()
        self._end_without_targets()
        self._steps.end("attach")
        self._started_s = time.monotonic()
        self._wall = datetime.now().astimezone()

    def preload(self) -> None:
        """Completes the sampler, and puts in unwind tables for processes that run already.

        To be called once this process has given up the rights that it needs no more: it may begin a thread.
        """
        self._source.complete()
        self._table.preload()

    def run(
        self, progress: Callable[[Progress], None] | None = None, journal: Journal | None = None
    ) -> Profile:
        """Samples until the duration is over or `stop` is called, and names what was sampled.

        The `journal` writes it all to a file meanwhile.
        """
        if journal is not None:
            self._journal = journal
            self._deferred.is_used = False  # it writes each second what was counted
            self._aggregator.write_to(journal)
            journal.begin(int(self._started_s * 1e9), self._recording.facts(self._source.cpus(), self._wall))
        with survivors_aside():
            self._record(progress)
            self._source.stop()
            ended_s = time.monotonic()
            self._steps.end("recording")
            self._drain()
            if progress is not None:
                progress(self._progress(is_over=True))
            self._steps.end("last records")
            duration_s = ended_s - self._started_s
            self._finish_reads(ended_s)
        self._steps.end("last reads")
        kernel = self._name_kernel()
        self._steps.end("kernel names")
        native = self._name_native(ended_s, duration_s)
        self._steps.end("native names")
        self._notes += notes_on(self._aggregator.stacks(), native)
        self._aggregator.lack(self._names.lacking)
        names = kernel | native
        profile = self._profile(duration_s, names)
        if self._journal is not None:
            elements, threads = self._aggregator.elements, self._threads.names()
            found = self._names
            self._journal.finish(elements, names, found.inlined, found.build_ids, threads, profile)
        return with_note(
            profile, lineless(running_lines(self._aggregator.elements)) if self._view.lines else ""
        )

    def _name_native(self, ended_s: float, duration_s: float) -> dict[Element, Frame]:
        """A frame for every native address, with what is fetched for the hottest files that lack symbols."""
        native = self._names.resolve(self._aggregator.stacks(), ended_s=ended_s, duration_s=duration_s)
        if self._fetch is None:
            return native
        nameless = self._names.nameless(_MOST_FETCHED)
        fetched = [nameless[build_id] for build_id in self._fetch(nameless)]
        return self._names.ask_again(chain.from_iterable(fetched))

    def _record(self, progress: Callable[[Progress], None] | None) -> None:
        duration_s = self._recording.duration_s
        end_s = math.inf if duration_s is None else self._started_s + duration_s
        pace = Pace(
            tasks=self._recording.async_tasks,
            threads=self._recording.threads,
            has_targets=self._recording.sampling.targets is not None,
            is_shown=progress is not None,
        )
        while not self._stopped and (now_s := time.monotonic()) < end_s:
            nap_s, alarm = pace.nap(is_in_hurry=self._table.is_in_hurry(time.monotonic_ns()))
            if alarm is not Alarm.NONE:
                self._source.set_alarm(is_full=alarm is Alarm.FULL)
            self._sleep(min(now_s + nap_s, end_s), now_s + pace.least_s())
            if self._has_new_walkers:
                self._has_new_walkers = False
                self._table.configure()
            records, is_new = self._drain()
            pace.looked(records, is_calm=not is_new and not self._asker.pending())
            self._names.ask_early()
            self._threads.ask_about_new(time.monotonic_ns())
            self._end_without_targets()
            if self._journal is not None:
                self._journal.write_if_due(time.monotonic_ns(), self._aggregator.elements)
            if progress is not None:
                progress(self._progress())

    def _progress(self, *, is_over: bool = False) -> Progress:
        elapsed_s = time.monotonic() - self._started_s
        hottest = partial(self._aggregator.hottest, self._deferred.waiting)
        return Progress(elapsed_s, self._samples, hottest, is_over)

    def _sleep(self, until_s: float, least_s: float) -> None:
        """Waits for a record, to be woken or until then; for what is due, not before `least_s`, either.

        Both are on CLOCK_MONOTONIC. Answers do not end it, but may make something due.
        """
        while True:
            due_s = min(max(self._due_s(), least_s), self._threads.due_s())
            left_s = min(until_s, due_s) - time.monotonic()
            if left_s <= 0 or self._wait(left_s, self._source):
                return

    def _due_s(self) -> float:
        """When there is something to ask or to write (CLOCK_MONOTONIC)."""
        return min(self._names.due_s(), self._journal.due_s() if self._journal is not None else math.inf)

    def _wait(self, longest_s: float, *also: Readable) -> bool:
        """Waits for an answer, for `also`, to be woken or for `longest_s`; answers are handed out.

        Returns whether it was woken, or any of `also` is ready.
        """
        ready = self._asker.wait(longest_s, (self._woken, *also))
        is_woken = self._woken.fileno() in ready
        if is_woken:
            with suppress(BlockingIOError):
                self._woken.recv(_WAKE_BYTES)
        return is_woken or any(each.fileno() in ready for each in also)

    def _configure(
        self, pid: int, start_ns: int, interpreters: tuple[Interpreter, ...], *, user: int
    ) -> bool:
        """Tells the sampler, once it is loaded."""
        return not self._is_loaded or self._source.configure(pid, start_ns, interpreters, user=user)

    def _walkers_came(self) -> None:
        """There is a walker that was not there before. It may be called in any thread."""
        self._has_new_walkers = True
        with suppress(BlockingIOError):  # it was woken often enough
            self._wake.send(b"w")

    def _complete_targets(self) -> None:
        """Drops targets that ended, and adds children that began, before forks and exits could be seen."""
        targets = self._recording.sampling.targets
        if targets is None:
            return
        import psutil  # here: a recording of the whole system does not wait for it

        found: list[int] = []
        for pid in targets:
            try:
                process = psutil.Process(pid)
                children = process.children(recursive=True) if self._recording.sampling.with_children else []
            except psutil.NoSuchProcess:
                self._source.drop_target(pid)
                continue
            found += [child.pid for child in children]
        for pid in found:
            self._source.add_target(pid)
        self._table.discover(found, time.monotonic_ns())

    def _end_without_targets(self) -> None:
        # This never clears it: `stop` may be called in the middle of this.
        if not self._source.has_targets():
            self._stopped = True

    def _drain(self) -> tuple[int, bool]:
        """Takes in the records that have come; how many, and whether any tells of a new program."""
        records = self._source.drain()
        is_new = False
        for record in records:
            if isinstance(record, Repeated):
                self._again(record)
            elif self._own is not None and self._own.claims(record):
                continue
            elif isinstance(record, RawSample):
                if not self._samples:
                    self._first_sample_s = record.time_ns / 1e9 - self._recording.asked_at_s
                self._samples += 1
                if self._recording.async_tasks:
                    self._tasks.sample(record)
                self._descriptions.sample(record)
                self._table.sample(record)
                if self._recording.threads:
                    self._threads.sample(record)
            elif isinstance(record, CodeName):
                self._table.name(record)
            elif isinstance(record, ProcessEvent):
                self._descriptions.event(record)
                self._table.event(record)
                self._threads.event(record)
                if record.exited:
                    self._asker.exited(record.process.pid)
                else:
                    is_new = True
            else:
                self._descriptions.mapped(record)
                self._table.mapped(record)
        return len(records), is_new

    def _again(self, repeated: Repeated) -> None:
        """Takes in samples that equal an earlier one: most often they count where that did."""
        counts = repeated.known.counts
        if counts is not None and counts.is_open:
            counts.again(repeated)
        elif self._own is not None and self._own.claims(repeated):
            return
        else:
            self._descriptions.again(repeated)
            self._table.again(repeated)
        self._samples += len(repeated.taken)
        if self._recording.threads:
            self._threads.again(repeated.process, repeated.time_ns)

    def _finish_reads(self, ended_s: float) -> None:
        """Asks once more for what could not be read; then what still lacks a name is dropped."""
        self._deferred.take_in_all()
        self._table.retry()
        self._threads.retry()
        self._asker.wait_for_all(ended_s + _LAST_ANSWERS_S - time.monotonic())
        while any(map(self._allowances.is_trusted, self._tables.users_held())):
            if not self._asker.pending() or (left_s := ended_s + _LAST_TABLES_S - time.monotonic()) <= 0:
                break
            self._asker.wait(left_s)
        self._tables.finish()
        self._table.finish()
        self._tasks.finish()
        self._asker.drop_questions()
        if self._tasks.alone:
            self._notes.append(
                f"samples of asyncio tasks that do not show what awaits them: {self._tasks.alone}"
            )

    def _name_kernel(self) -> dict[Element, Frame]:
        """A frame for every kernel address."""
        addresses = [each for each in self._aggregator.elements if isinstance(each, KernelAddress)]
        told = self._source.kernel_names([each.address for each in addresses])
        frames, is_hidden = name_kernel(addresses, told)
        if is_hidden:
            self._notes.append(
                "kernel functions have no names here: 'sudo sysctl kernel.kptr_restrict=1' shows them"
            )
        return frames

    def _profile(self, duration_s: float, names: dict[Element, Frame]) -> Profile:
        worker, compiler = self._asker.usage(), self._source.compiler_cost()
        own = resource.getrusage(resource.RUSAGE_SELF)
        lost = self._source.lost()
        self._notes += self._source.notes()
        if self._own is not None:
            self._notes.append(f"pidflame's own samples left out (--no-self): {self._own.left_out:,}")
        if worker.replaced:
            times = "once" if worker.replaced == 1 else f"{worker.replaced} times"
            self._notes.append(
                f"the worker that reads other processes was replaced {times}: it waited for one, or was"
                " killed"
            )
        if lost.events:
            self._notes.append(
                f"{lost.events} execs and exits were lost (ring buffer full): native names of these processes"
                " may belong to an earlier program"
            )
        return Profile(
            samples=self._aggregator.samples(names, self._threads.names(), self._view, self._names.inlined),
            losses=self._aggregator.losses(lost=lost.samples),
            host=socket.gethostname(),
            started_at=self._wall.isoformat(timespec="seconds"),
            duration_s=duration_s,
            frequency_hz=self._recording.sampling.frequency_hz,
            cpus=self._source.cpus(),
            event=self._recording.sampling.event,
            profiler_cpu_s=own.ru_utime + own.ru_stime + worker.cpu_s + compiler.cpu_s,
            profiler_max_rss_bytes=sum(
                (peak_bytes_of(os.getpid()), worker.max_rss_bytes, compiler.max_rss_bytes)
            ),
            first_sample_s=self._first_sample_s,
            steps_s=self._steps.took_s,
            command=self._recording.title,
            notes=tuple(self._notes),
        )
