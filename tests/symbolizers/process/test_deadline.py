"""The worker with a deadline, with real processes that sleep, work, wait in D state and die."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from symbolizers.errors import ReadFault, Reason, Stalled, Unreadable
from symbolizers.process import deadline
from symbolizers.process.deadline import DeadlineWorker, Reply, Request, WorkerFailed
from tests.support.process.targets import PAGE, ROOT, running, state_of

MODULE = "tests.symbolizers.process.deadline_service"
PATIENCE_S = 30.0
SOON_S = 5.0
"""A hundred deadlines: what must not take long, on a machine that is busy with other things too."""
Make = Callable[..., DeadlineWorker]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Makes workers that are closed in the end; the isolated interpreter finds the tests' module."""
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\nshift\ncd "{ROOT}" && exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr("symbolizers.process.deadline.sys", SimpleNamespace(executable=str(launcher)))
    with ExitStack() as stack:

        def made(*arguments: str, clock: Callable[[], float] = time.monotonic) -> DeadlineWorker:
            return stack.enter_context(closing(DeadlineWorker(MODULE, arguments, clock=clock)))

        yield made


def about(subject: str, method: str, *arguments: object) -> Request:
    return Request(subject, method, arguments)


def replies(worker: DeadlineWorker, count: int) -> list[Reply]:
    """So many answers, waited for as the session waits."""
    found: list[Reply] = []
    end_s = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < end_s, f"only {len(found)} answers"
        select.select([worker], [], [], worker.timeout_s())
        found += worker.collect()
    return found


def answer(worker: DeadlineWorker, method: str, *arguments: object) -> object:
    worker.submit(about("subject", method, *arguments))
    (reply,) = replies(worker, 1)
    return reply.value


def pid_of(worker: DeadlineWorker) -> int:
    pid = answer(worker, "pid")
    assert isinstance(pid, int)
    return pid


def until(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.01)


HOG = """
import os, sys, time
cpu = int(sys.argv[1])
os.sched_setaffinity(0, {cpu})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
print(flush=True)
end_s = time.monotonic() + 15
while time.monotonic() < end_s:
    pass
"""


@contextmanager
def taken_cpu(cpu: int) -> Iterator[None]:
    """A real-time process has the CPU; the kernel leaves all others 5 % of it. Ours runs elsewhere."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ours - {cpu} or ours)
    try:
        with subprocess.Popen([sys.executable, "-c", HOG, str(cpu)], stdout=subprocess.PIPE) as hog:
            try:
                assert hog.stdout is not None
                assert hog.stdout.readline() == b"\n"
                yield
                assert hog.poll() is None
            finally:
                hog.kill()
    finally:
        os.sched_setaffinity(0, ours)


def test_requests_are_answered_in_order_and_urgent_ones_first(make: Make) -> None:
    worker = make()
    for name in ("first", "second", "third"):
        worker.submit(about(name, "echo", name))
    worker.submit(about("urgent", "echo", "urgent"), urgent=True)
    found = replies(worker, 4)
    assert [reply.value for reply in found] == ["urgent", "first", "second", "third"]
    assert [reply.request.subject for reply in found] == ["urgent", "first", "second", "third"]
    assert not worker.pending()
    assert worker.timeout_s() is None
    assert worker.collect() == []


def test_a_large_answer_comes_through(make: Make) -> None:
    content = bytes(range(256)) * 20_000
    assert answer(make(), "echo", content) == content


def test_arguments_are_passed_on(make: Make) -> None:
    assert answer(make("--lines", "x"), "arguments") == ["--lines", "x"]


def test_errors_about_a_target_are_answers(make: Make) -> None:
    worker = make()
    fault = answer(worker, "fault")
    assert isinstance(fault, ReadFault)
    assert fault.address == 0x1000
    refused = answer(worker, "refuse")
    assert isinstance(refused, Unreadable)
    assert "/nowhere/at/all" in str(refused)


def test_a_request_that_waits_is_tried_again_after_all_others_and_then_a_stall(make: Make) -> None:
    worker = make()
    before = pid_of(worker)
    start_s = time.monotonic()
    worker.submit(about("stuck", "sleep", 600))
    worker.submit(about("behind", "pid"))
    (behind,) = replies(worker, 1)
    assert behind.request.subject == "behind"
    assert behind.value != before
    assert worker.pending()
    (stalled,) = replies(worker, 1)
    assert time.monotonic() - start_s < SOON_S
    assert stalled.request.subject == "stuck"
    assert isinstance(stalled.value, Stalled)
    assert stalled.value.reason is Reason.STALLED
    assert not worker.pending()
    until(lambda: state_of(before) in "Z?")


def test_the_descriptor_to_wait_for_is_told_after_a_stall(make: Make) -> None:
    worker = make()
    answer(worker, "echo", 1)
    assert isinstance(answer(worker, "sleep", 600), Stalled)
    os.fstat(worker.fileno())
    assert answer(worker, "echo", 2) == 2


def test_a_worker_in_the_kernel_for_a_page_that_never_comes_is_left_behind(make: Make) -> None:
    """D state: what a dead network mount or a userfaultfd does to a plain read."""
    with running("userfault") as target:
        worker = make()
        stuck = pid_of(worker)
        stalled = answer(worker, "read_waiting", target.pid, target["region"] + PAGE)
        assert isinstance(stalled, Stalled)
        assert answer(worker, "echo", "next") == "next"
        again = pid_of(worker)
        worker.submit(about("stuck", "read_waiting", target.pid, target["region"] + PAGE))
        until(lambda: state_of(again) == "D")
        start_s = time.monotonic()
        worker.close()
        assert time.monotonic() - start_s < SOON_S
    until(lambda: state_of(stuck) in "Z?" and state_of(again) in "Z?")


def test_a_worker_that_works_has_more_time(make: Make) -> None:
    worker = make()
    before = pid_of(worker)
    assert answer(worker, "work", 10 * deadline.DEADLINE_S) == "worked"
    assert pid_of(worker) == before


def test_a_worker_that_gets_no_cpu_is_not_taken_for_stalled(make: Make) -> None:
    cpu = min(os.sched_getaffinity(0))
    worker = make()
    before = pid_of(worker)
    answer(worker, "stay_on", cpu)
    with taken_cpu(cpu):
        start_s = time.monotonic()
        value = answer(worker, "work", 0.08)
        taken_s = time.monotonic() - start_s
    assert value == "worked"
    assert taken_s > 5 * deadline.DEADLINE_S
    assert pid_of(worker) == before


def test_even_a_worker_that_works_has_to_end(make: Make) -> None:
    late_s = 0.0
    worker = make(clock=lambda: time.monotonic() + late_s)
    answer(worker, "echo", 1)
    worker.submit(about("endless", "work", 600))
    until(lambda: worker.usage().cpu_s > 0.5)
    assert worker.collect() == []
    late_s = 60.0
    (reply,) = replies(worker, 1)
    assert isinstance(reply.value, Stalled)


def test_a_worker_that_dies_over_a_request_is_replaced(make: Make) -> None:
    worker = make()
    assert isinstance(answer(worker, "die"), Stalled)
    assert answer(worker, "echo", "alive") == "alive"


def test_a_program_error_ends_the_worker_and_not_the_recording(
    make: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    worker = make()
    assert isinstance(answer(worker, "no_such_method"), Stalled)
    assert "no_such_method" in capfd.readouterr().err
    assert answer(worker, "echo", "alive") == "alive"


def test_a_worker_killed_while_idle_is_replaced_and_nobody_is_blamed(make: Make) -> None:
    worker = make()
    os.kill(pid_of(worker), 9)
    assert select.select([worker], [], [], PATIENCE_S)[0]
    assert worker.collect() == []
    assert answer(worker, "echo", "alive") == "alive"


def test_a_request_handed_to_a_dead_worker_is_answered(make: Make) -> None:
    """It died before the request came: nobody has noticed yet."""
    worker = make()
    before = pid_of(worker)
    os.kill(before, 9)
    until(lambda: state_of(before) in "Z?")
    worker.submit(about("unlucky", "echo", 1))
    (reply,) = replies(worker, 1)
    assert reply.value == 1, "the worker after it had no second try"
    assert answer(worker, "echo", "alive") == "alive"


def test_what_workers_cost_is_counted_over_replacements(make: Make) -> None:
    worker = make()
    answer(worker, "work", 0.3)
    first = worker.usage()
    assert first.cpu_s >= 0.25
    assert first.max_rss_bytes > 1 << 20
    assert isinstance(answer(worker, "sleep", 600), Stalled)
    answer(worker, "work", 0.2)
    second = worker.usage()
    assert second.cpu_s >= first.cpu_s + 0.15
    assert second.max_rss_bytes >= first.max_rss_bytes


def test_closing_ends_the_worker_whatever_it_does(make: Make) -> None:
    worker = make()
    pid = pid_of(worker)
    worker.submit(about("stuck", "sleep", 600))
    start_s = time.monotonic()
    worker.close()
    assert time.monotonic() - start_s < SOON_S
    until(lambda: state_of(pid) in "Z?")


def test_a_worker_that_cannot_start_is_an_error_of_ours(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MODULE", "no.such.module")
    worker = make()
    worker.submit(about("anything", "pid"))
    with pytest.raises(WorkerFailed, match=r"no\.such\.module"):
        replies(worker, 1)
    until(lambda: "No module named" in capfd.readouterr().err)


def test_a_worker_that_dies_over_a_request_is_replaced_however_often(make: Make) -> None:
    worker = make()
    for _ in range(6):
        assert isinstance(answer(worker, "die"), Stalled)
    assert isinstance(answer(worker, "pid"), int)
