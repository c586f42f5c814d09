"""The worker process: one answer for each question, in order, until its parent is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from socket import socketpair

from symbolizers.errors import ProcessGone, Unreadable
from symbolizers.frame import NATIVE
from symbolizers.inspection import VDSO, Inspection
from tests.support.process.targets import running

PATIENCE_S = 30.0


@contextmanager
def started(*arguments: str) -> Iterator[tuple[Connection, subprocess.Popen[bytes]]]:
    """A worker as `DeadlineWorker` starts it, once it has said that it is ready."""
    ours, theirs = socketpair()
    command = (sys.executable, "-I", "-m", "symbolizers.worker", str(theirs.fileno()), *arguments)
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process:
        theirs.close()
        with Connection(ours.detach()) as connection:
            try:
                assert heard(connection) == "ready"
                yield connection, process
            finally:
                process.kill()


def heard(connection: Connection) -> object:
    assert connection.poll(PATIENCE_S), "the worker is silent"
    return connection.recv()


def asked(connection: Connection, method: str, *arguments: object) -> object:
    connection.send((method, arguments))
    return heard(connection)


def test_questions_are_answered_in_order_and_errors_are_answers() -> None:
    with running("heap", 1) as target, started() as (connection, _):
        connection.send(("inspect", (target.pid, None)))
        connection.send(("inspect", (target.pid, 1)))
        connection.send(("names", (VDSO, "[vdso]", [0])))
        found = heard(connection)
        assert isinstance(found, Inspection)
        assert found.process.pid == target.pid
        assert [each.language for each in found.interpreters] == ["python"]
        assert isinstance(heard(connection), ProcessGone)
        names = heard(connection)
        assert isinstance(names, list)
        assert [frame.kind for frame in names] == [NATIVE]
        assert asked(connection, "forget", found.process) is None


def test_it_ends_with_its_parents_end_of_the_pipe() -> None:
    with started() as (connection, process):
        connection.close()
        assert process.wait(PATIENCE_S) == 0


def test_ctrl_c_is_for_the_parent_to_handle() -> None:
    with started() as (connection, process):
        process.send_signal(signal.SIGINT)
        assert isinstance(asked(connection, "inspect", 1 << 21, None), ProcessGone)
        assert process.poll() is None


def test_a_program_error_ends_it_with_a_traceback() -> None:
    with started() as (connection, process):
        connection.send(("no_such_method", ()))
        assert process.stderr is not None
        assert b"no_such_method" in process.stderr.read()
        assert process.wait(PATIENCE_S) == 1


def test_an_error_of_the_system_is_an_answer() -> None:
    """No descriptors left, say: the process can't be looked at, and the worker goes on."""
    with started() as (connection, process):
        limits = ("prlimit", f"--pid={process.pid}", "--nofile=4:4")
        subprocess.run(limits, check=True)
        refused = asked(connection, "inspect", process.pid, None)
        assert isinstance(refused, Unreadable)
        assert "Too many open files" in str(refused)
