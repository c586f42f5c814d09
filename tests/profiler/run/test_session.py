"""A recording from start to profile, with a source that replays and the real worker."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from profiler.capture.records import ProcessEvent, RawSample
from profiler.capture.source import Cost, Lost, Sampling
from profiler.errors import PrerequisiteError
from profiler.profile.model import Process, Profile
from profiler.run.accounts import HotProgram
from profiler.run.request import Recording
from profiler.run.session import Progress, Session
from symbolizers.asker import Asker, Workers
from symbolizers.base import Interpreter
from symbolizers.errors import Reason
from symbolizers.frame import KERNEL, NATIVE, RawFrame
from symbolizers.inspection import KernelKey
from symbolizers.process.identity import ProcessId, start_ticks_of
from tests.support.process.cgroups import cgroup
from tests.support.process.targets import Target, running, state_of
from tests.support.samples import raw_sample

PATIENCE_S = 30.0
PID_LIMIT = 1 << 22
Record = RawSample | ProcessEvent


class Replay:
    """A `SampleSource` that hands out given records, in batches, and keeps the calls it got."""

    def __init__(
        self,
        batches: Sequence[Sequence[Record]],
        *,
        lost: tuple[int, int] = (0, 0),
        notes: Sequence[str] = (),
    ) -> None:
        self.calls: list[str] = []
        self.targets_left = True
        self.alarms = 0
        self.configured: list[tuple[int, int, tuple[str, ...]]] = []
        self.batches = list(batches)
        self._lost = Lost(*lost)
        self._notes = notes
        self._read_fd, self._write_fd = os.pipe()

    def load(self, changed: Callable[[], None]) -> None:
        self.calls.append("load")

    def start(self) -> None:
        self.calls.append("start")
        os.write(self._write_fd, b"r" * len(self.batches))

    def complete(self) -> None:
        self.calls.append("complete")

    def stop(self) -> None:
        self.calls.append("stop")

    def fileno(self) -> int:
        return self._read_fd

    def set_alarm(self, *, is_full: bool = False) -> None:
        self.alarms += 1

    def drain(self) -> Sequence[Record]:
        assert "start" in self.calls
        if not self.batches:
            return ()
        os.read(self._read_fd, 1)
        return self.batches.pop(0)

    def has_table(self, file: KernelKey, owner: int) -> bool:
        return False

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        raise AssertionError("no sample lacks a table")

    def put_table(self, file: KernelKey, owner: int, chunks: bytes) -> None:
        raise AssertionError("no sample lacks a table")

    def configure(self, pid: int, start_ns: int, interpreters: Sequence[Interpreter], *, user: int) -> bool:
        assert "load" in self.calls
        self.configured.append((pid, start_ns, tuple(each.language for each in interpreters)))
        return True

    def kernel_names(self, addresses: Collection[int]) -> Mapping[int, bytes]:
        return {}

    def has_targets(self) -> bool:
        return self.targets_left

    def lost(self) -> Lost:
        return self._lost

    def notes(self) -> Sequence[str]:
        return self._notes

    def cpus(self) -> int:
        return 3

    def compiler_cost(self) -> Cost:
        return Cost(0.75, 1 << 40)

    def close(self) -> None:
        os.close(self._read_fd)
        os.close(self._write_fd)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A CPython process that waits."""
    with running("heap", 1) as target:
        yield target


def sample(
    pid: int, *, user: tuple[int, ...] = (), kernel: tuple[int, ...] = (), frames: tuple[RawFrame, ...] = ()
) -> RawSample:
    start_ns = ProcessId(pid, start_ticks_of(pid)).start_ns() + 77
    now_ns = time.monotonic_ns()
    return raw_sample(
        pid=pid, time_ns=now_ns, start_ns=start_ns, interpreter=frames, user=user, kernel=kernel
    )


def libc_function_in(pid: int, name: str) -> int:
    """The address in `pid` of a function of libc, which we have mapped, too."""
    own = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    assert own is not None
    return own - libc_start(os.getpid()) + libc_start(pid)


def libc_start(pid: int) -> int:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return min(int(line.partition("-")[0], 16) for line in lines if "/libc.so" in line)


@contextmanager
def session(
    source: Replay,
    asker: Asker | None = None,
    *,
    targets: tuple[int, ...],
    duration_s: float | None = None,
) -> Iterator[Session]:
    recording = Recording(Sampling(20, targets), duration_s, "a test", time.monotonic())
    with closing(source), closing(asker or Asker(Workers())) as asking:
        yield Session(recording, source, asking)


def recorded(
    source: Replay, *, targets: tuple[int, ...], progress: Callable[[Progress], None] | None = None
) -> Profile:
    """Ends once all records were taken in and the worker has answered all that was asked about them."""

    def until_done(now: Progress) -> None:
        assert now.elapsed_s < PATIENCE_S
        if progress is not None:
            progress(now)
        if source.configured and not source.batches and not asker.pending():
            running_session.stop()

    asker = Asker(Workers())
    with session(source, asker, targets=targets) as running_session:
        running_session.prepare()
        running_session.start()
        running_session.preload()
        return running_session.run(until_done)


@pytest.mark.root
def test_a_sample_comes_out_with_names(target: Target) -> None:
    address = libc_function_in(target.pid, "getpid")
    (kernel,) = [
        int(line.split()[0], 16)
        for line in Path("/proc/kallsyms").read_text().splitlines()
        if line.split()[2:] == ["schedule"]
    ]
    taken = sample(target.pid, user=(address,), kernel=(kernel + 4,))
    source = Replay([[taken], []], lost=(5, 2), notes=["some words"])
    profile = recorded(source, targets=(target.pid,))
    (found,) = profile.samples
    native, in_kernel = found.frames
    assert (native.kind, native.name.strip("_")) == (NATIVE, "getpid")
    assert native.file.startswith("libc.so")
    assert (in_kernel.kind, in_kernel.name) == (KERNEL, "schedule")
    assert (found.root.comm, found.root.pid, found.count) == (b"app", target.pid, 1)
    assert found.process is not None
    assert (found.process.pid, found.process.comm) == (target.pid, b"app")
    assert found.process.executable == os.readlink(f"/proc/{target.pid}/exe")
    command = Path(f"/proc/{target.pid}/cmdline").read_bytes().removesuffix(b"\0").split(b"\0")
    assert found.process.command == tuple(map(os.fsdecode, command))
    assert (profile.losses.samples, profile.losses.symbolized, profile.losses.lost) == (1, 1, 5)
    assert [note.split(" were lost")[0] for note in profile.notes] == ["some words", "2 execs and exits"]
    assert (profile.cpus, profile.frequency_hz, profile.command) == (3, 20, "a test")
    assert 0 < profile.duration_s < PATIENCE_S
    assert profile.first_sample_s is not None
    assert -1 < profile.first_sample_s < PATIENCE_S
    assert profile.profiler_cpu_s > 0
    assert list(profile.steps_s)[:2] == ["start", "load"]
    assert min(profile.steps_s.values()) >= 0
    assert profile.profiler_max_rss_bytes > 1 << 20
    assert source.calls == ["load", "start", "complete", "stop"]


@pytest.mark.root
def test_of_a_process_that_is_over_its_container_is_known_by_the_sample(target: Target) -> None:
    """The worker finds the cgroup by its id, inside its sandbox."""
    with cgroup(f"libpod-{'3f' * 32}.scope") as folder:
        gone = raw_sample(pid=PID_LIMIT - 1, cgroup=folder.stat().st_ino, uid=1000)
        profile = recorded(Replay([[gone, sample(target.pid)], []]), targets=(target.pid,))
    found = {each.root.pid: each.process for each in profile.samples}
    container = "3f3f3f3f3f3f"
    assert found[gone.process.pid] == Process(PID_LIMIT - 1, b"app", 0, 1000, container=container)
    assert {each.root.container for each in profile.samples} == {""}


def test_it_sleeps_while_nothing_comes(target: Target) -> None:
    """Until the alarm, after a few looks; while there are targets, it looks once a second all the same."""
    source = Replay([[sample(target.pid)]])
    with session(source, targets=(target.pid,), duration_s=2.5) as running_session:
        running_session.prepare()
        running_session.start()
        running_session.run()
    assert 2 <= source.alarms <= 5


def test_the_targets_are_known_to_the_kernel_before_their_first_sample(target: Target) -> None:
    source = Replay([])
    recorded(source, targets=(target.pid,))
    start_ns = ProcessId(target.pid, start_ticks_of(target.pid)).start_ns()
    assert source.configured == [(target.pid, start_ns, ("python",))]


def test_every_sample_is_in_the_ledger(target: Target) -> None:
    """So are those after the last look, with frames that lie, or of processes that are gone."""
    with subprocess.Popen(["/bin/true"]) as process:
        gone = sample(process.pid)
    forged = sample(target.pid, frames=(RawFrame(1 << 56 | 8, 0, 1),))
    plain = sample(target.pid, user=(libc_function_in(target.pid, "getpid"),))
    source = Replay([[plain, gone], [forged, plain], [forged], [plain]])
    profile = recorded(source, targets=(target.pid,))
    losses = profile.losses
    assert losses.samples == 6
    assert losses.symbolized == sum(each.count for each in profile.samples)
    assert losses.samples == losses.symbolized + sum(losses.dropped.values())
    assert losses.dropped.keys() <= {Reason.WOULD_FAULT, Reason.CHANGED, Reason.EXITED}
    assert {row.root.pid for row in losses.per_process} == {target.pid, process.pid}


def test_records_that_wait_when_sampling_stops_are_taken_in(target: Target) -> None:
    source = Replay([[sample(target.pid)]])
    with session(source, targets=(target.pid,)) as running_session:
        running_session.prepare()
        running_session.start()
        running_session.stop()
        profile = running_session.run()
    assert profile.losses.samples == 1
    assert profile.duration_s < PATIENCE_S


def test_a_recording_ends_when_its_time_is_over(target: Target) -> None:
    with session(Replay([]), targets=(target.pid,), duration_s=0.3) as running_session:
        running_session.prepare()
        running_session.start()
        profile = running_session.run()
    assert 0.3 <= profile.duration_s < PATIENCE_S


class StoppedWhileAsked(Replay):
    """The signal comes just while the session asks whether anything is left to sample."""

    session: Session

    def has_targets(self) -> bool:
        self.session.stop()
        return super().has_targets()


@pytest.mark.timeout(30)
def test_a_stop_in_the_middle_of_a_look_for_targets_is_not_forgotten(target: Target) -> None:
    source = StoppedWhileAsked([])
    with session(source, targets=(target.pid,), duration_s=20.0) as running_session:
        source.session = running_session
        running_session.prepare()
        running_session.start()
        assert running_session.run().duration_s < 10.0


def test_stopping_ends_a_recording_without_a_duration(target: Target) -> None:
    source = Replay([])
    with session(source, targets=(target.pid,)) as running_session:
        running_session.prepare()
        running_session.start()
        stopper = threading.Timer(0.2, running_session.stop)
        stopper.start()
        profile = running_session.run()
        stopper.join()
        for _ in range(10_000):
            running_session.stop()
    assert profile.losses.samples == 0
    assert profile.samples == ()
    assert profile.first_sample_s is None


@pytest.mark.parametrize("exited", [True, False])
def test_a_recording_ends_with_the_last_of_its_targets(target: Target, exited: bool) -> None:
    """No other event ends it."""
    process = ProcessId(target.pid, start_ticks_of(target.pid))
    source = Replay([[ProcessEvent(process, time.monotonic_ns(), process.start_ns(), exited)]])
    source.targets_left = not exited
    with session(source, targets=(target.pid,), duration_s=None if exited else 0.3) as running_session:
        running_session.prepare()
        running_session.start()
        profile = running_session.run()
    assert profile.duration_s < PATIENCE_S
    assert exited or profile.duration_s >= 0.3


def test_progress_is_told_while_it_records(target: Target) -> None:
    told: list[Progress] = []
    recorded(Replay([[sample(target.pid)]] * 3), targets=(target.pid,), progress=told.append)
    assert [each.samples for each in told] == sorted(each.samples for each in told)
    assert told[-1].samples == 3
    assert 0 <= told[0].elapsed_s <= told[-1].elapsed_s
    assert told[0].hottest() == told[-1].hottest() == HotProgram(b"app", 1, 1.0)
    assert [each.is_over for each in told] == [False] * (len(told) - 1) + [True]


@pytest.mark.parametrize("without_self", [True, False])
def test_our_own_samples_can_be_left_out(without_self: bool) -> None:
    """Where the whole system is recorded; they are neither counted nor lost, and a note says how many."""
    steps: list[str] = []
    ours = replace(sample(os.getpid()), comm=b"pidflame")
    other = raw_sample(pid=1 << 22, comm=b"other", time_ns=time.monotonic_ns())
    source = Replay([[ours, other], [ours]])
    recording = Recording(Sampling(20, None), 0.3, "a test", time.monotonic(), without_self=without_self)
    with closing(source), closing(Asker(Workers())) as asker:
        running_session = Session(recording, source, asker, lambda name, _took_s: steps.append(name))
        running_session.prepare()
        running_session.start()
        profile = running_session.run()
    assert profile.losses.lost == 0
    assert {row.root.comm: row.samples for row in profile.losses.per_process} == {
        b"other": 1,
        **({} if without_self else {b"pidflame": 2}),
    }
    told = "pidflame's own samples left out (--no-self): 2" in profile.notes
    assert told == without_self
    assert steps == list(profile.steps_s)


def test_a_sampler_that_does_not_load_ends_the_recording(target: Target) -> None:
    class Refused(Replay):
        def load(self, changed: Callable[[], None]) -> None:
            raise PrerequisiteError("no BPF here")

    with (
        session(Refused([]), targets=(target.pid,)) as running_session,
        pytest.raises(PrerequisiteError, match="no BPF here"),
    ):
        running_session.prepare()


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found.update(map(int, (task / "children").read_text().split()))
    return found


def test_native_names_survive_a_worker_that_was_replaced(target: Target) -> None:
    """One stalled process must not cost the names of all others."""
    before = children()
    killed: list[int] = []
    address = libc_function_in(target.pid, "getpid")
    source = Replay([[sample(target.pid, user=(address,))]])

    def kill_worker(progress: Progress) -> None:
        if killed:
            running_session.stop()
        # What it was asked just then would be taken for what killed it.
        elif progress.samples and source.configured and not running_session._asker.pending():
            killed.extend(pid for pid in children() - before if state_of(pid) != "Z")
            for pid in killed:  # the worker, and the process that it was forked from
                os.kill(pid, signal.SIGKILL)

    with session(source, targets=(target.pid,)) as running_session:
        running_session.prepare()
        running_session.start()
        profile = running_session.run(kill_worker)
    (found,) = profile.samples
    assert [frame.name.strip("_") for frame in found.frames] == ["getpid"]
