"""The worker process: one answer for each question, in order, until its parent is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socketpair

from symbolizers.errors import Reason
from symbolizers.frame import NATIVE
from symbolizers.inspection import VDSO
from symbolizers.process.messages import READY, MessageStream
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
from tests.support.process.targets import running

PATIENCE_S = 30.0


@contextmanager
def started(*arguments: str) -> Iterator[tuple[MessageStream, subprocess.Popen[bytes]]]:
    """A worker as `DeadlineWorker` starts it, once it has said that it is ready."""
    ours, theirs = socketpair()
    command = (sys.executable, "-I", "-m", "symbolizers.worker", str(theirs.fileno()), *arguments)
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process:
        theirs.close()
        with ours:
            ours.settimeout(PATIENCE_S)
            stream = MessageStream(ours)
            try:
                assert stream.wait_for_one() == READY
                yield stream, process
            finally:
                process.kill()


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
        assert [frame.kind for frame in names.frames] == [NATIVE]
        assert asked(stream, Forget(found.inspection.process)) == Forgotten()


def test_it_ends_with_its_parents_end_of_the_pipe() -> None:
    with started() as (stream, process):
        stream.close()
        assert process.wait(PATIENCE_S) == 0


def test_ctrl_c_is_for_the_parent_to_handle() -> None:
    with started() as (stream, process):
        process.send_signal(signal.SIGINT)
        gone = asked(stream, Inspect(1 << 21))
        assert isinstance(gone, Failed)
        assert gone.reason is Reason.EXITED
        assert process.poll() is None


def test_a_program_error_ends_it_with_a_traceback() -> None:
    with started() as (stream, process):
        stream.send(b'{"type": "NoSuchQuestion"}')
        assert process.stderr is not None
        assert b"NoSuchQuestion" in process.stderr.read()
        assert process.wait(PATIENCE_S) == 1


def test_an_error_of_the_system_is_an_answer() -> None:
    """No descriptors left, say: the process can't be looked at, and the worker goes on."""
    with started() as (stream, process):
        limits = ("prlimit", f"--pid={process.pid}", "--nofile=4:4")
        subprocess.run(limits, check=True)
        refused = asked(stream, Inspect(process.pid))
        assert isinstance(refused, Failed)
        assert refused.reason is Reason.UNSUPPORTED
        assert "Too many open files" in refused.detail
