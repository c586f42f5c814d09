"""The worker with a deadline, with real processes that sleep, work, wait in D state and die."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symbolizers.errors import Reason, Stalled
from symbolizers.process import deadline
from symbolizers.process.deadline import DeadlineWorker, WorkerFailed
from symbolizers.process.fork_server import ForkServer
from tests.support.process.targets import PAGE, ROOT, children_of, running, state_of

MODULE = "tests.symbolizers.process.deadline_service"
PATIENCE_S = 90.0
SOON_S = 5.0
"""A hundred deadlines: the limit for what must not take long, even on a busy machine."""
Make = Callable[..., DeadlineWorker]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Makes workers that are closed in the end; the isolated interpreter finds the tests' module."""
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\nshift\ncd "{ROOT}" && exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr("symbolizers.process.fork_server.sys", SimpleNamespace(executable=str(launcher)))
    with ExitStack() as stack:

        def made(*arguments: str, **options: Any) -> DeadlineWorker:
            server = stack.enter_context(closing(ForkServer(MODULE)))
            return stack.enter_context(closing(DeadlineWorker(server, arguments, **options)))

        yield made


Reply = tuple[str, object]
"""The lane of a request, and what came of it: the answer, or `Stalled`."""


class Replies:
    """Submits requests and keeps what comes of them, in order."""

    def __init__(self) -> None:
        self.found: list[Reply] = []

    def submit(self, worker: DeadlineWorker, lane: str, *request: object, soon: bool = False) -> None:
        def answered(message: bytes | Stalled) -> None:
            self.found.append((lane, message if isinstance(message, Stalled) else json.loads(message)))

        worker.submit(json.dumps(request).encode(), answered, user=0, lane=lane, soon=soon)

    def until(self, worker: DeadlineWorker, count: int) -> list[Reply]:
        """The first `count` answers, waited for as the session waits."""
        end_s = time.monotonic() + PATIENCE_S
        while len(self.found) < count:
            assert time.monotonic() < end_s, f"only {len(self.found)} answers"
            wait_for(worker)
            worker.collect()
        return self.found


def wait_for(worker: DeadlineWorker) -> None:
    timeout_s = worker.timeout_s()
    poll = select.poll()
    if worker.fileno() >= 0:
        poll.register(worker.fileno(), worker.awaits())
    poll.poll(None if timeout_s is None else timeout_s * 1000 + 1)


@pytest.fixture
def replies() -> Replies:
    return Replies()


def answer(worker: DeadlineWorker, *request: object) -> object:
    replies = Replies()
    replies.submit(worker, "lane", *request)
    ((_, value),) = replies.until(worker, 1)
    return value


def pid_of(worker: DeadlineWorker) -> int:
    pid = answer(worker, "pid")
    assert isinstance(pid, int)
    return pid


def kill_children() -> bool:
    """Ends what forks workers, and workers that it has forked; says whether there was anything to end."""
    alive = [child for child in children_of(os.getpid()) if state_of(child) not in "Z?"]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return bool(alive)


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


def test_requests_of_a_lane_are_answered_in_order_lanes_take_turns_and_some_come_first(
    make: Make, replies: Replies
) -> None:
    worker = make()
    for lane, name in (("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")):
        replies.submit(worker, lane, "echo", name)
    replies.submit(worker, "soon", "echo", "soon", soon=True)
    found = replies.until(worker, 5)
    assert [value for _, value in found] == ["soon", "a1", "b1", "a2", "a3"]
    assert [lane for lane, _ in found] == ["soon", "a", "b", "a", "a"]
    assert not worker.pending()
    assert worker.timeout_s() is None
    worker.collect()
    assert len(replies.found) == 5


def test_forgotten_requests_delay_nobody(make: Make, replies: Replies) -> None:
    worker = make()
    before = pid_of(worker)
    replies.submit(worker, "a", "work", 600, soon=True)
    replies.submit(worker, "a", "echo", "a2", soon=True)
    worker.drop()
    assert not worker.pending()
    replies.submit(worker, "b", "pid")
    ((lane, after),) = replies.until(worker, 1)
    assert (lane, after != before) == ("b", True)
    assert not worker.pending()
    assert worker.usage().replaced == 0, "it did nothing wrong"


def test_a_large_answer_comes_through(make: Make) -> None:
    content = "".join(map(chr, range(256))) * 3_000
    assert answer(make(), "echo", content) == content


def test_arguments_are_passed_on(make: Make) -> None:
    assert answer(make("--lines", "x"), "arguments") == ["--lines", "x"]


def test_a_request_that_waits_is_tried_again_after_all_others_and_then_a_stall(
    make: Make, replies: Replies
) -> None:
    worker = make()
    before = pid_of(worker)
    start_s = time.monotonic()
    replies.submit(worker, "stuck", "sleep", 600)
    replies.submit(worker, "behind", "pid")
    ((lane, value),) = replies.until(worker, 1)
    assert lane == "behind"
    assert value != before
    assert worker.pending()
    _, (lane, stalled) = replies.until(worker, 2)
    assert time.monotonic() - start_s < SOON_S
    assert lane == "stuck"
    assert isinstance(stalled, Stalled)
    assert stalled.reason is Reason.STALLED
    assert not worker.pending()
    until(lambda: state_of(before) in "Z?")


def test_the_descriptor_to_wait_for_is_told_after_a_stall(make: Make) -> None:
    worker = make()
    answer(worker, "echo", 1)
    assert isinstance(answer(worker, "sleep", 600), Stalled)
    os.fstat(worker.fileno())
    assert answer(worker, "echo", 2) == 2


@pytest.mark.root
def test_a_worker_in_the_kernel_for_a_page_that_never_comes_is_left_behind(
    make: Make, replies: Replies
) -> None:
    """D state: what a dead network mount or a userfaultfd does to a plain read."""
    with running("userfault") as target:
        worker = make()
        stuck = pid_of(worker)
        stalled = answer(worker, "read_waiting", target.pid, target["region"] + PAGE)
        assert isinstance(stalled, Stalled)
        assert answer(worker, "echo", "next") == "next"
        again = pid_of(worker)
        replies.submit(worker, "stuck", "read_waiting", target.pid, target["region"] + PAGE)
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


@pytest.mark.root
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


@pytest.mark.root
def test_even_a_worker_that_works_has_to_end(make: Make, replies: Replies) -> None:
    late_s = 0.0
    worker = make(clock=lambda: time.monotonic() + late_s)
    answer(worker, "echo", 1)
    replies.submit(worker, "endless", "work", 600)
    until(lambda: worker.usage().cpu_s > 0.5)
    worker.collect()
    assert replies.found == []
    late_s = 60.0
    ((_, value),) = replies.until(worker, 1)
    assert isinstance(value, Stalled)


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
    worker.collect()
    assert answer(worker, "echo", "alive") == "alive"


def test_a_request_handed_to_a_dead_worker_is_answered(make: Make, replies: Replies) -> None:
    """It died before the request came: nobody has noticed yet."""
    worker = make()
    before = pid_of(worker)
    os.kill(before, 9)
    until(lambda: state_of(before) in "Z?")
    replies.submit(worker, "unlucky", "echo", 1)
    assert replies.until(worker, 1) == [("unlucky", 1)], "the worker after it had no second try"
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


def test_closing_ends_the_worker_whatever_it_does(make: Make, replies: Replies) -> None:
    worker = make()
    pid = pid_of(worker)
    replies.submit(worker, "stuck", "sleep", 600)
    start_s = time.monotonic()
    worker.close()
    assert time.monotonic() - start_s < SOON_S
    until(lambda: state_of(pid) in "Z?")


def test_a_worker_that_cannot_start_is_an_error_of_ours(
    make: Make, replies: Replies, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MODULE", "no.such.module")
    worker = make()
    replies.submit(worker, "anything", "pid")
    with pytest.raises(WorkerFailed, match=r"no\.such\.module"):
        replies.until(worker, 1)
    until(lambda: "No module named" in capfd.readouterr().err)


def test_workers_that_are_killed_while_they_start_are_no_error_of_ours(make: Make, replies: Replies) -> None:
    worker = make()
    replies.submit(worker, "patient", "echo", 1)
    for _ in range(4):
        while worker.fileno() < 0:
            wait_for(worker)
            worker.collect()
        assert kill_children()
        assert select.select([worker], [], [], PATIENCE_S)[0]
        worker.collect()
    assert replies.until(worker, 1) == [("patient", 1)]
    assert worker.usage().replaced == 4


def test_a_worker_that_dies_over_a_request_is_replaced_however_often(make: Make) -> None:
    worker = make()
    for _ in range(6):
        assert isinstance(answer(worker, "die"), Stalled)
    assert isinstance(answer(worker, "pid"), int)


def test_a_request_that_takes_more_cpu_time_than_it_may_is_not_tried_again(make: Make) -> None:
    worker = make(most_cpu_s=0.2)
    assert answer(worker, "work", 0.05) == "worked"
    assert isinstance(answer(worker, "work", 600), Stalled)
    usage = worker.usage()
    assert usage.replaced == 1
    assert usage.cpu_s < 2.0
    assert answer(worker, "echo", "alive") == "alive"


def test_a_worker_that_reads_nothing_does_not_hold_us_up(make: Make, replies: Replies) -> None:
    worker = make()
    os.kill(pid_of(worker), signal.SIGSTOP)
    start_s = time.monotonic()
    replies.submit(worker, "long", "echo", "x" * (3 << 20))
    assert time.monotonic() - start_s < 0.5
    ((_, value),) = replies.until(worker, 1)
    assert value == "x" * (3 << 20), "the second worker reads"


def test_workers_that_die_while_they_start_are_started_again_after_pauses(
    make: Make, replies: Replies
) -> None:
    worker = make()
    os.kill(pid_of(worker), signal.SIGSTOP)  # it must not answer before it is killed
    killed = 0
    replies.submit(worker, "patient", "echo", 1)
    end_s = time.monotonic() + 2.0
    while time.monotonic() < end_s:
        killed += kill_children()
        wait_for(worker)
        worker.collect()
    assert 4 < killed < 20, "there are pauses, and they grow"
    assert [value for _, value in replies.found if not isinstance(value, Stalled)] == []
    assert answer(worker, "echo", "alive") == "alive"


def test_what_workers_say_is_passed_on_once(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    worker = make()
    for _ in range(3):
        assert isinstance(answer(worker, "no_such_method"), Stalled)
    assert capfd.readouterr().err.count("Traceback") == 1


def test_the_peak_of_a_program_is_its_own() -> None:
    """Not that of a large program which started it."""
    program = (
        "import os; from symbolizers.process.usage import peak_bytes_of; print(peak_bytes_of(os.getpid()))"
    )
    large = (
        "import subprocess as s, sys; kept = bytearray(300 << 20); s.run([sys.executable, '-c', sys.argv[1]])"
    )
    command = [sys.executable, "-c", large, program.replace("; ", "\n")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 1 << 20 < int(said) < 200 << 20
