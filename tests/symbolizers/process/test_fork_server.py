"""Workers that are forked: whose children they are, and what becomes of them when their fork server dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socketpair

import pytest

from symbolizers.process.fork_server import ForkServer
from symbolizers.process.messages import MessageStream
from tests.support.process.targets import children_of, state_of

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0


class Forking:
    """A fork server and the streams of its workers."""

    def __init__(self, module: str) -> None:
        self._server = ForkServer(module)
        self._streams: list[MessageStream] = []
        self._pids: list[int] = []

    def worker(self) -> int:
        """The pid of a new one; 0 where none came."""
        ours, theirs = socketpair()
        with theirs:
            self._server.fork(theirs, ["--lines"])
        ours.settimeout(PATIENCE_S)
        self._streams.append(MessageStream(ours))
        pid = int(self._streams[-1].wait_for_one() or b"0")
        self._pids += [pid] if pid else []
        return pid

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        for pid in self._pids:
            os.waitpid(pid, 0)
        self._server.close()


@pytest.fixture
def forking() -> Iterator[Forking]:
    with closing(Forking("symbolizers.worker")) as made:
        yield made


def test_workers_are_our_children_in_a_session_of_their_own(forking: Forking) -> None:
    first, second = forking.worker(), forking.worker()
    server = os.getsid(first)
    assert server == os.getsid(second) != os.getsid(0)
    assert {server, first, second} <= set(children_of(os.getpid()))


def test_a_fork_server_that_was_killed_is_started_again(forking: Forking) -> None:
    first = forking.worker()
    os.kill(os.getsid(first), signal.SIGKILL)
    # Some requests may go to the dying one.
    assert any(forking.worker() for _ in range(10))
    assert state_of(first) == "S", "a worker does without it"


def test_a_module_that_is_not_there_ends_the_stream_and_is_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with closing(Forking("symbolizers.no_such_module")) as forking:
        assert forking.worker() == 0
    assert "no_such_module" in capfd.readouterr().err


def test_a_worker_has_none_of_the_fork_servers_descriptors(forking: Forking) -> None:
    """But for its stream and stderr: it could ask for other workers."""
    worker = forking.worker()
    folder = Path(f"/proc/{worker}/fd")
    kinds = sorted(os.readlink(each).partition(":")[0] for each in folder.iterdir())
    assert kinds.count("socket") == 1, kinds


FORKED_FROM_HERE = """
import os
from contextlib import closing
from socket import socketpair
from symbolizers.process.fork_server import ForkServer

def ends(pid):
    folder = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{folder}/{fd}").partition(":")[0] for fd in os.listdir(folder))

def worker(server):
    ours, theirs = socketpair()
    with theirs:
        server.fork(theirs, [])
    return int(ours.recv(100)[4:] or b"0")

kept = os.open("/", os.O_RDONLY)
with closing(ForkServer(from_here=True)) as server:
    forker = os.getsid(worker(server))
    print(forker != os.getsid(0), *ends(forker))
    os.kill(forker, 9)
    print(any(worker(server) for _ in range(10)))
"""


def test_one_that_is_forked_from_here_keeps_no_descriptor_of_ours() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED_FROM_HERE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True /dev/null /dev/null /memfd socket\nTrue\n"
