"""Which samples are pidflame's own: of this process, and of those that it started."""

from __future__ import annotations

import os

from msgspec.structs import replace

from profiler.capture.records import CodeName, ProcessEvent
from profiler.run.own import OwnSamples
from symbolizers.process.identity import ProcessId
from symbolizers.taken import TakenName
from tests.support.samples import raw_sample, repeated

OTHER_PID = 1 << 22


def test_this_process_and_its_children_are_ours() -> None:
    own = OwnSamples()
    us, other = raw_sample(pid=os.getpid()), raw_sample(pid=OTHER_PID)
    worker = replace(raw_sample(pid=OTHER_PID + 1), parent=us.process)
    grandchild = replace(raw_sample(pid=OTHER_PID + 2), parent=worker.process)
    assert [own.claims(each) for each in (us, other, worker, grandchild)] == [True, False, True, False]
    assert own.left_out == 2


def test_equal_samples_of_ours_are_counted_and_others_are_not() -> None:
    own = OwnSamples()
    worker = replace(raw_sample(pid=OTHER_PID), parent=ProcessId(os.getpid(), 7))
    again = repeated(worker, 5)
    assert not own.claims(again), "nothing is known of it yet"
    assert own.claims(worker)
    assert own.claims(again)
    assert not own.claims(repeated(raw_sample(pid=OTHER_PID + 1)))
    assert own.left_out == 6


def test_what_is_no_sample_is_not_counted() -> None:
    """Names of our code are ours all the same: nobody will ask for them."""
    own = OwnSamples()
    process = raw_sample(pid=os.getpid()).process
    assert own.claims(CodeName(process, 0, TakenName(1 << 56, 0, 1, 0, ())))
    assert not own.claims(ProcessEvent(process, 0, 0, exited=True))
    assert own.left_out == 0
