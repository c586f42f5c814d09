"""Targets for the tests of `symbolizers.process`: started, spoken to over pipes, and surely ended."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

import pytest

from symbolizers.errors import SymbolizeError

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAGE = os.sysconf("SC_PAGE_SIZE")
FIXED = 0x2000_0000_0000
DEADLINE_S = 1.0
READY_S = 20.0
NOBODY = 65534

T = TypeVar("T")


class Target:
    """A running target program: its pid as we see it, and the facts it told when it was ready."""

    def __init__(self, pid: int, *, to: IO[bytes], answers: IO[bytes]) -> None:
        self.pid = pid
        self._to = to
        self._answers = answers
        self.facts: dict[str, int] = {}
        self.hear_facts()

    def hear_facts(self) -> None:
        """The line that a program starts with (once more after an exec)."""
        facts = self._hear()
        assert isinstance(facts, dict)
        self.facts = facts

    def tell(self, command: str) -> None:
        self._to.write(command.encode() + b"\n")
        self._to.flush()

    def ask(self, command: str) -> int:
        """The target's answer: it runs, and is not stopped."""
        self.tell(command)
        answer = self._hear()
        assert isinstance(answer, int)
        return answer

    def _hear(self) -> object:
        ready, _, _ = select.select([self._answers], [], [], READY_S)
        assert ready, f"target {self.pid} is silent, state {state_of(self.pid)}"
        line = self._answers.readline()
        assert line, f"target {self.pid} ended"
        return json.loads(line)

    def __getitem__(self, name: str) -> int:
        return self.facts[name]


def children_of(pid: int) -> list[int]:
    """The processes that the main thread of `pid` has started; none when it has exited."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@contextmanager
def running(kind: str, file: object = "-", *, wrapper: tuple[str, ...] = ()) -> Iterator[Target]:
    """A target of `target_programs`; under `wrapper` (a command that forks) its pid is the child's."""
    command = (*wrapper, sys.executable, str(HERE / "target_programs.py"), kind, str(file))
    with _started(command) as target:
        if wrapper:
            (target.pid,) = children_of(target.pid)
        yield target


@contextmanager
def running_fuse(directory: Path, variant: str) -> Iterator[Target]:
    """The target of `fuse_program`, beside its server, which ends every hanging request when it ends."""
    module = f"{__package__}.fuse_program"
    with _started((sys.executable, "-m", module, str(directory), variant)) as target:
        target.pid = target["pid"]
        yield target


@contextmanager
def running_vforked(directory: Path, kind: str, file: object) -> Iterator[Target]:
    """A child of vfork that becomes a target of `target_programs` when told to ``exec``."""
    program = directory / "vforked"
    subprocess.run(["gcc", "-o", str(program), str(HERE / "vforked.c")], check=True)
    target_command = (sys.executable, str(HERE / "target_programs.py"), kind, str(file))
    with _started((str(program), *target_command)) as target:
        target.pid = target["pid"]
        yield target


@contextmanager
def _started(command: tuple[str, ...]) -> Iterator[Target]:
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Target(process.pid, to=process.stdin, answers=process.stdout)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def running_as(pid: int, kind: str, file: object) -> Iterator[Target]:
    """A target that gets the free number `pid` (clone3 with set_tid), as a pid used again would be."""
    to_read, to_write = os.pipe()
    answers_read, answers_write = os.pipe()
    command = (sys.executable, str(HERE / "target_programs.py"), kind, str(file))
    wanted = (ctypes.c_int * 1)(pid)
    # struct clone_args: exit_signal is its fifth word, set_tid and its length the ninth and tenth.
    words = (ctypes.c_uint64 * 10)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1)
    libc = ctypes.CDLL(None, use_errno=True)
    child: int = libc.syscall(435, ctypes.byref(words), ctypes.sizeof(words))
    if child == 0:
        try:
            os.dup2(to_read, 0)
            os.dup2(answers_write, 1)
            os.execv(command[0], command)
        finally:
            os._exit(127)
    assert child == pid, os.strerror(ctypes.get_errno())
    os.close(to_read)
    os.close(answers_write)
    with os.fdopen(to_write, "wb") as to, os.fdopen(answers_read, "rb") as answers:
        try:
            yield Target(pid, to=to, answers=answers)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def state_of(pid: int) -> str:
    """The state letter of proc(5), `?` where there is no such process."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "?"


def swapped_bytes(pid: int) -> int:
    """How much of a process lies in swap, by its page tables (VmSwap of its status is off by some pages)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nSwap:")[2].split()[0]) * 1024


def in_time(call: Callable[[], T], *, as_user: int | None = None) -> T:
    """What `call` returns or raises, run in a child process that must have answered within `DEADLINE_S`.

    A call that waits for ever (in D state even) fails the test and is left behind: the end of the target
    that it waits for frees it.
    """
    answer_read, answer_write = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(call, answer_write, as_user)
    os.close(answer_write)
    with os.fdopen(answer_read, "rb") as answer:
        ready, _, _ = select.select([answer], [], [], DEADLINE_S)
        if not ready:
            state = state_of(child)
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"the call was still waiting after {DEADLINE_S} s, state {state}")
        text = answer.read()
    os.waitpid(child, 0)
    assert text, "the call ended in an error that no read raises"
    failed, result = pickle.loads(text)
    if failed:
        raise result
    value: T = result
    return value


def _answer(call: Callable[[], object], to: int, as_user: int | None) -> None:
    """Runs in the child and never returns: else it would be a second test run, and tear down fixtures."""
    try:
        os.write(to, _pickled(call, as_user))
    finally:
        os._exit(0)


def _pickled(call: Callable[[], object], as_user: int | None) -> bytes:
    try:
        if as_user is not None:
            os.setgroups([])
            os.setresgid(as_user, as_user, as_user)
            os.setresuid(as_user, as_user, as_user)
        return pickle.dumps((False, call()))
    except (SymbolizeError, OSError, AssertionError) as error:
        return pickle.dumps((True, error))
    except pytest.fail.Exception as failure:
        # This is a subclass of BaseException, and can't be pickled.
        return pickle.dumps((True, AssertionError(failure.msg)))
