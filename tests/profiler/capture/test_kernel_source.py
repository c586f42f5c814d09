"""The sampler on this machine's kernel. Loaded once for all tests that can share it: it costs CPU."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from profiler.capture import loading
from profiler.capture.kernel_source import KernelSource
from profiler.capture.layout_rows import MOST_ROWS_OF_USER
from profiler.capture.records import RawSample
from profiler.capture.source import Sampling
from symbolizers.frame import CodeObject, capture_kind
from symbolizers.inspection import Inspection
from symbolizers.process.identity import ProcessId, start_ticks_of
from symbolizers.python.kinds import PYTHON_CODE
from symbolizers.service import Service
from tests.support.source_recorder import PATIENCE_S, Recorder, Target, running_target

pytestmark = pytest.mark.live

HZ = 100
MAX_WALKERS = 4
"""As in profiler/bpf/records.h."""


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """Samples the targets that tests add, with what these start."""
    source = KernelSource(Sampling(HZ, targets=(), with_children=True))
    with closing(source):
        source.load()
        source.start()
        yield Recorder(source)


@pytest.fixture
def target(recorder: Recorder) -> Iterator[Target]:
    with running_target() as target:
        recorder.source.add_target(target.pid)
        yield target


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(lines=False)


def configure(recorder: Recorder, service: Service, target: Target) -> Inspection:
    """What the session does: inspects the process and tells the kernel what to walk."""
    inspection = service.inspect(target.pid, None)
    assert [interpreter.language for interpreter in inspection.interpreters] == ["python"]
    recorder.source.configure(target.pid, inspection.process.start_ns(), inspection.interpreters, user=0)
    return inspection


def test_a_busy_thread_is_sampled_as_the_kernel_knows_it(recorder: Recorder, target: Target) -> None:
    tid = target.ask("spinning_thread")
    recorder.until(
        lambda: (
            len(found := recorder.samples(target.pid)) >= 20
            and any(sample.kernel for sample in found)
            and any(sample.user for sample in found)
        )
    )
    samples = recorder.samples(target.pid)
    comm = Path(f"/proc/{target.pid}/comm").read_bytes().rstrip(b"\n")
    assert tid != target.pid
    assert tid in {sample.tid for sample in samples}
    assert {sample.tid for sample in samples} <= {tid, target.pid}
    assert {sample.comm for sample in samples} == {comm}
    assert {each.process for each in samples} == {target.id()}
    assert {sample.cpu for sample in samples} <= os.sched_getaffinity(target.pid)
    times = [sample.time_ns for sample in samples]
    assert times == sorted(times)
    assert times[-1] <= time.monotonic_ns()
    assert all(address >= 1 << 63 for sample in samples for address in sample.kernel)
    assert all(sample.user[0] < 1 << 47 for sample in samples if sample.user)
    assert all(not sample.interpreter and sample.walk_status == 0 for sample in samples)


def test_what_is_no_target_is_not_recorded(recorder: Recorder, target: Target) -> None:
    with running_target() as other:
        other.ask("spinning_thread")
        target.ask("spinning_thread")
        recorder.until(lambda: len(recorder.samples(target.pid)) >= 20)
        other.ask("short_child")
        target.ask("short_child")
        recorder.until(lambda: len(recorder.samples(target.pid)) >= 30)
        assert recorder.samples(other.pid) == []
        assert recorder.events(other.pid) == []
    added = {record.process.pid for record in recorder.records}
    assert other.pid not in added
    assert os.getpid() not in added


def test_the_cpus_that_are_sampled_are_those_online(recorder: Recorder) -> None:
    assert recorder.source.cpus() == os.sysconf("SC_NPROCESSORS_ONLN")


def test_children_are_recorded_too(recorder: Recorder, target: Target) -> None:
    child = target.ask("spinning_child")
    recorder.until(lambda: len(recorder.samples(child)) >= 5)
    found = recorder.samples(child)
    assert {sample.tid for sample in found} == {child}
    assert {sample.process.start_ticks for sample in found} == {start_ticks_of(child)}


def test_exec_and_exit_come_in_order_and_once(recorder: Recorder, target: Target) -> None:
    child = target.ask("short_child")
    recorder.until(lambda: len(recorder.events(child)) >= 2)
    executed, exited = recorder.events(child)
    assert (executed.exited, exited.exited) == (False, True)
    assert executed.start_ns == exited.start_ns
    assert executed.time_ns < exited.time_ns
    places = [place for place, record in enumerate(recorder.records) if record.process.pid == child]
    assert recorder.records[places[-1]] is exited


def test_threads_that_end_are_no_exit_of_the_process(recorder: Recorder, target: Target) -> None:
    """exec ends all threads but one, and the process goes on as it is."""
    target.ask("spinning_thread")
    target.ask("become_another")
    target.ask("short_child")
    recorder.until(lambda: bool(recorder.events(target.pid)))
    (event,) = recorder.events(target.pid)
    assert not event.exited
    assert event.process == target.id()


def test_interpreter_frames_come_where_they_are_asked_for(
    recorder: Recorder, service: Service, target: Target
) -> None:
    inspection = configure(recorder, service, target)
    tid = target.ask("spinning_thread")

    def of_thread(since_ns: int) -> list[RawSample]:
        return [each for each in recorder.samples(target.pid, since_ns=since_ns) if each.tid == tid]

    recorder.until(lambda: sum(bool(sample.interpreter) for sample in of_thread(0)) >= 10)
    seen = [sample for sample in of_thread(0) if sample.interpreter]
    frames = {sample.interpreter[0] for sample in seen}
    assert {capture_kind(frame.address) for frame in frames} == {PYTHON_CODE}
    leaves = service.read(inspection.process, sorted(frames))
    assert {leaf.name for leaf in leaves if isinstance(leaf, CodeObject)} >= {"spin"}

    recorder.source.configure(target.pid, inspection.process.start_ns(), (), user=0)
    since_ns = time.monotonic_ns()
    recorder.until(lambda: len(of_thread(since_ns)) >= 10)
    assert not any(sample.interpreter for sample in of_thread(since_ns))
    recorder.source.configure(target.pid, inspection.process.start_ns(), (), user=0)


def test_walkers_have_their_turn_one_after_the_other(
    recorder: Recorder, service: Service, target: Target
) -> None:
    """The same interpreter in every slot, and once more: its frames come as often as there are slots."""
    inspection = configure(recorder, service, target)
    several = inspection.interpreters * (MAX_WALKERS + 1)
    recorder.source.configure(target.pid, inspection.process.start_ns(), several, user=0)
    assert f"process {target.pid} runs more than {MAX_WALKERS} interpreters" in recorder.source.notes()[-1]
    tid = target.ask("spinning_thread")

    def walked() -> list[RawSample]:
        return [each for each in recorder.samples(target.pid) if each.tid == tid and each.interpreter]

    recorder.until(lambda: sum(len(each.interpreter) > 2 * MAX_WALKERS for each in walked()) >= 10)
    whole = [each for each in walked() if len(each.interpreter) > 2 * MAX_WALKERS]
    for sample in whole:
        count, rest = divmod(len(sample.interpreter), MAX_WALKERS)
        assert (rest, sample.walk_status) == (0, 0)
        assert sample.interpreter == sample.interpreter[:count] * MAX_WALKERS


def test_a_configuration_of_another_process_with_the_pid_is_not_used(
    recorder: Recorder, service: Service, target: Target
) -> None:
    inspection = service.inspect(target.pid, None)
    another = ProcessId(target.pid, inspection.process.start_ticks - 1)
    recorder.source.configure(target.pid, another.start_ns(), inspection.interpreters, user=0)
    target.ask("spinning_thread")
    recorder.until(lambda: len(recorder.samples(target.pid)) >= 10)
    assert not any(sample.interpreter for sample in recorder.samples(target.pid))


def test_a_forked_child_is_walked_without_being_asked_about(
    recorder: Recorder, service: Service, target: Target
) -> None:
    configure(recorder, service, target)
    child = target.ask("spinning_child")
    recorder.until(lambda: sum(bool(sample.interpreter) for sample in recorder.samples(child)) >= 5)


def test_a_program_replaced_is_not_walked_as_the_one_before(
    recorder: Recorder, service: Service, target: Target
) -> None:
    configure(recorder, service, target)
    target.ask("become_another")
    since_ns = time.monotonic_ns()
    target.ask("spinning_thread")
    recorder.until(lambda: len(recorder.samples(target.pid, since_ns=since_ns)) >= 10)
    after = recorder.samples(target.pid, since_ns=since_ns)
    assert not any(sample.interpreter for sample in after)
    assert {sample.walk_status for sample in after} == {0}


def test_the_alarm_goes_off_at_the_next_record(recorder: Recorder, target: Target) -> None:
    """Without it, a sample of code that was seen before wakes nobody."""
    target.ask("spinning_thread")
    recorder.until(lambda: len(recorder.samples(target.pid)) >= 100)

    def waits(rounds: int, *, alarm: bool) -> list[float]:
        found = []
        for _ in range(rounds):
            recorder.source.drain()
            if alarm:
                recorder.source.set_alarm()
            began_s = time.monotonic()
            select.select([recorder.source], [], [], 0.5)
            found.append(time.monotonic() - began_s)
        return found

    assert max(waits(10, alarm=True)) < 0.4
    assert max(waits(5, alarm=False)) >= 0.5


def test_no_sample_was_lost_and_none_comes_after_the_stop(recorder: Recorder, target: Target) -> None:
    """The last test of the shared source."""
    target.ask("spinning_thread")
    recorder.until(lambda: len(recorder.samples(target.pid)) >= 5)
    recorder.source.stop()
    stopped_ns = time.monotonic_ns()
    recorder.source.stop()
    target.ask("short_child")
    recorder.until(lambda: any(record.time_ns > stopped_ns for record in recorder.timed()))
    assert recorder.samples(target.pid, since_ns=stopped_ns) == []
    assert recorder.source.lost() == (0, 0)


def test_samples_and_events_that_find_no_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_RING_PAGES", (1, 1))
    with running_target() as target:
        target.ask("spinning_thread")
        source = KernelSource(Sampling(1000, targets=(target.pid,), with_children=True))
        with closing(source):
            source.load()
            source.start()
            end_s = time.monotonic() + PATIENCE_S
            while source.lost().samples < 3 or not source.lost().events:
                assert time.monotonic() < end_s
                target.ask("short_child")
            source.stop()
            lost = source.lost()
            drained = [record for record in source.drain() if isinstance(record, RawSample)]
            assert target.pid in {record.process.pid for record in drained}
            assert source.lost() == lost
            assert source.has_targets()
            target.end()
            assert not source.has_targets()
        source.close()


def test_a_build_that_lies_about_itself_has_no_walker(recorder: Recorder, target: Target) -> None:
    inspection = Service(lines=False).inspect(target.pid, None)
    (interpreter,) = inspection.interpreters
    lie = tuple({**dict(interpreter.offsets), "thread_next": 1 << 40}.items())
    recorder.source.configure(
        target.pid, inspection.process.start_ns(), [replace(interpreter, offsets=lie)], user=0
    )
    assert "says of itself what can't be" in recorder.source.notes()[-1]
    far = interpreter.moved((1 << 64) - interpreter.root - 0x100)
    assert far.root == (1 << 64) - 0x100
    recorder.source.configure(target.pid, inspection.process.start_ns(), [far.moved(0x200)], user=0)


def test_more_builds_than_there_is_room_for_are_said(recorder: Recorder, target: Target) -> None:
    inspection = Service(lines=False).inspect(target.pid, None)
    (interpreter,) = inspection.interpreters

    def configure(number: int, user: int) -> bool:
        offsets = tuple({**dict(interpreter.offsets), "thread_next": 8 * (300 + number)}.items())
        other = replace(interpreter, offsets=offsets)
        return recorder.source.configure(target.pid, inspection.process.start_ns(), [other], user=user)

    most = MOST_ROWS_OF_USER
    walked = [configure(number, 1000) for number in range(most + 9)]
    assert walked == [True] * most + [False] * 9
    assert recorder.source.notes()[-1].startswith(
        "user 1000 runs more builds of interpreters than there is room for"
    )
    assert configure(most, 1001), "there is room for others"
    assert configure(most, 1000), "and a layout that is there serves everybody"
    left = recorder.source._rows.left()
    assert all(configure(1000 + number, 0) for number in range(left))
    assert not configure(5000, 0)
    assert recorder.source.notes()[-1].startswith("user 0 runs more builds")
