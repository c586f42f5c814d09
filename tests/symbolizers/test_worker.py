"""The worker process: one answer for each question, in order, until its parent is gone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from socket import socketpair

import pytest

from symbolizers.errors import Reason
from symbolizers.frame import NATIVE
from symbolizers.inspection import VDSO
from symbolizers.process.fork_server import ForkServer
from symbolizers.process.messages import MessageStream
from symbolizers.questions import (
    Answer,
    AnswerT,
    Failed,
    Forget,
    Forgotten,
    Inspect,
    Inspected,
    NameOffsets,
    Names,
    Question,
    decode_answer,
    encode,
)
from tests.support.process.targets import children_of, running

PATIENCE_S = 30.0


@contextmanager
def started(*arguments: str) -> Iterator[tuple[MessageStream, int]]:
    """A worker as `DeadlineWorker` starts it, once it has said its pid."""
    ours, theirs = socketpair()
    with closing(ForkServer("symbolizers.worker")) as server, ours:
        with theirs:
            server.fork(theirs, arguments)
        ours.settimeout(PATIENCE_S)
        stream = MessageStream(ours)
        pid = int(stream.wait_for_one() or b"0")
        assert pid in children_of(os.getpid())
        try:
            yield stream, pid
        finally:
            stream.close()
            with suppress(ProcessLookupError):
                exit_code_of(pid)


def exit_code_of(pid: int) -> int:
    """Waits for a child of ours."""
    descriptor = os.pidfd_open(pid)
    assert select.select([descriptor], [], [], PATIENCE_S)[0]
    os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def heard(stream: MessageStream, question: Question[AnswerT]) -> AnswerT | Failed:
    message = stream.wait_for_one()
    assert message is not None
    return decode_answer(message, question)


def asked(stream: MessageStream, question: Question[AnswerT]) -> AnswerT | Failed:
    stream.send(encode(question))
    return heard(stream, question)


def test_questions_are_answered_in_order_and_errors_are_answers() -> None:
    with running("heap", 1) as target, started() as (stream, _):
        questions: list[Question[Answer]] = [
            Inspect(target.pid),
            Inspect(target.pid, 1),
            NameOffsets(VDSO, "[vdso]", (0,)),
        ]
        for question in questions:
            stream.send(encode(question))
        found, gone, names = (heard(stream, question) for question in questions)
        assert isinstance(found, Inspected)
        assert found.inspection.process.pid == target.pid
        assert [each.language for each in found.inspection.interpreters] == ["python"]
        assert isinstance(gone, Failed)
        assert gone.reason is Reason.EXITED
        assert isinstance(names, Names)
        assert [frame.kind for frame, _, _ in names.functions] == [NATIVE]
        assert asked(stream, Forget(found.inspection.process)) == Forgotten()


def test_it_ends_with_its_parents_end_of_the_pipe() -> None:
    with started() as (stream, pid):
        stream.close()
        assert exit_code_of(pid) == 0


def test_ctrl_c_is_for_the_parent_to_handle() -> None:
    with started() as (stream, pid):
        os.kill(pid, signal.SIGINT)
        gone = asked(stream, Inspect(1 << 21))
        assert isinstance(gone, Failed)
        assert gone.reason is Reason.EXITED
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)


def test_a_program_error_ends_it_with_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with started() as (stream, pid):
        stream.send(b'{"type": "NoSuchQuestion"}')
        assert exit_code_of(pid) == 1
    assert "NoSuchQuestion" in capfd.readouterr().err


def test_an_error_of_the_system_is_an_answer() -> None:
    """No descriptors left, say: the process can't be looked at, and the worker goes on."""
    with started() as (stream, pid):
        limits = ("prlimit", f"--pid={pid}", "--nofile=4:4")
        subprocess.run(limits, check=True)
        refused = asked(stream, Inspect(pid))
        assert isinstance(refused, Failed)
        assert refused.reason is Reason.UNSUPPORTED
        assert "Too many open files" in refused.detail
