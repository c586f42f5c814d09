"""What a fork takes over from its parent, and when it must be looked at itself."""

from __future__ import annotations

import pytest

from profiler.run.stacks import NativeAddress
from symbolizers.questions import Inspect
from tests.support.process_table import INTERPRETER, NATIVE, PID, START_NS, Table, frames_of, named, raw_frame
from tests.support.samples import told_file

FORK = 8
FORKED_NS = 3 * START_NS


def parent_of_forks(table: Table) -> None:
    """A process of which one function is known, when listening has begun."""
    table.table.listen(2 * START_NS, START_NS)
    table.sample(1, user=(NATIVE,))
    table.inspected()
    table.read()


def test_a_fork_is_what_its_parent_is() -> None:
    """It needs no look of its own, and the kernel is told to walk it as it walks its parent."""
    table = Table()
    parent_of_forks(table)
    native = table.sample(pid=FORK, start_ns=FORKED_NS, parent=PID, user=(NATIVE,))
    python = table.sample(1, pid=FORK, start_ns=FORKED_NS, parent=PID)
    assert table.open == []
    assert table.emitted[native] == (NativeAddress(told_file(5), 0x100, "/bin/python3"),)
    assert table.emitted[python] == (named(1),)
    assert table.configured == [(PID, START_NS, (INTERPRETER,)), (FORK, FORKED_NS, (INTERPRETER,))]
    assert [(process.pid, interpreters) for process, interpreters in table.runs] == [
        (PID, (INTERPRETER,)),
        (FORK, (INTERPRETER,)),
    ]
    table.sample(2, pid=FORK, start_ns=FORKED_NS, parent=PID)
    assert frames_of(table.take()) == (raw_frame(2),)


def test_what_a_fork_learns_is_not_its_parents() -> None:
    table = Table()
    parent_of_forks(table)
    table.sample(2, pid=FORK, start_ns=FORKED_NS, parent=PID)
    assert table.read() == [2]
    table.sample(2)
    assert table.read() == [2]


@pytest.mark.parametrize("forked_ns", [2 * START_NS - 1, START_NS])
def test_a_fork_of_before_may_have_replaced_its_program(forked_ns: int) -> None:
    table = Table()
    parent_of_forks(table)
    table.sample(1, pid=FORK, start_ns=forked_ns, parent=PID)
    assert isinstance(table.take().question, Inspect)


def test_a_parent_that_replaced_its_program_says_nothing_of_older_forks() -> None:
    table = Table()
    parent_of_forks(table)
    table.event(exited=False, after_ns=FORKED_NS)
    table.inspected()
    table.sample(1, pid=FORK, start_ns=FORKED_NS, parent=PID)
    assert isinstance(table.take().question, Inspect)
    table.sample(pid=FORK + 1, start_ns=4 * FORKED_NS, parent=PID, user=(NATIVE,))
    assert table.open == []


def test_a_fork_that_replaced_its_program_is_looked_at() -> None:
    table = Table()
    parent_of_forks(table)
    table.event(exited=False, pid=FORK, start_ns=FORKED_NS)
    assert isinstance(table.take().question, Inspect)
    assert table.sample(1, pid=FORK, start_ns=FORKED_NS, parent=PID) not in table.settled()
