"""From the bytes in the ring buffer to the profile: each sample that the kernel took is in it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.capture import known_stacks
from profiler.capture.records import ProcessEvent
from profiler.capture.wire import WalkStatus
from profiler.profile.model import Profile
from profiler.run import aggregate, deferred, program
from symbolizers.errors import Reason
from symbolizers.frame import CodeObject, RawFrame
from tests.support.encoded import encoded, encoded_repeat
from tests.support.replay import START_NS, Clock, Look, replay
from tests.support.samples import raw_sample

PROCESSES, STACKS = 4, 12
MOST_HASHES = 20
LOST_SHARE = 0.1
TORN, UNREADABLE = 5, 7
"""Stacks by number: of one the walk fails, and the other has a function that can't be read."""


class Kernel:
    """Takes samples as count.h does: it has room for few hashes, and some records find no room."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._known: list[bytes] = []
        self._time_ns = 2 * START_NS
        self._started_ns = dict.fromkeys(range(PROCESSES), START_NS)
        self._records: list[bytes] = []
        self.taken: Counter[int] = Counter()
        """By pid; what was lost is not in it."""
        self.lost = 0

    def sample(self, pid: int, number: int) -> None:
        self._time_ns += 1_000_000
        started_ns = self._started_ns[pid]
        stack = b"%4d%4d%8d" % (pid, number, started_ns // START_NS)
        if self._random.random() < LOST_SHARE:
            self.lost += 1
            return
        self.taken[pid] += 1
        if stack in self._known:
            self._records.append(encoded_repeat(stack, time_ns=self._time_ns))
            return
        sample = raw_sample(
            pid=pid + 1,
            start_ns=started_ns,
            time_ns=self._time_ns,
            interpreter=(RawFrame(1 << 56 | (number + 1) << 8, 0, number, 0),),
            walk_status=WalkStatus.TORN if number == TORN else WalkStatus.COMPLETE,
            user=(0x1810,),
            stack=stack,
        )
        self._records.append(encoded(sample))
        self._known.append(stack)
        if len(self._known) > MOST_HASHES:
            del self._known[self._random.randrange(MOST_HASHES)]

    def happens(self, pid: int, *, exited: bool) -> None:
        """The process replaces its program, or exits, and another one gets its pid."""
        sample = raw_sample(pid=pid + 1, start_ns=self._started_ns[pid])
        event = ProcessEvent(sample.process, self._time_ns, self._started_ns[pid], exited, 0)
        self._records.append(encoded(event))
        self._started_ns[pid] += START_NS if exited else 0

    def forget(self, stack: bytes) -> None:
        if stack in self._known:
            self._known.remove(stack)

    def look(self) -> Look:
        """What was written by now; the last records may still be under way."""
        count = len(self._records) - self._random.randint(0, 2)
        records, self._records = self._records[: max(count, 0)], self._records[max(count, 0) :]
        return (), records

    def last_look(self) -> Look:
        return (), self._records


def code_of(frame: RawFrame) -> CodeObject | Reason:
    if frame.checksum == UNREADABLE:
        return Reason.WOULD_FAULT
    return CodeObject("python", f"function_{frame.checksum}", "app.py", 1)


pids, numbers = st.integers(0, PROCESSES - 1), st.integers(0, STACKS - 1)
events = st.one_of(st.tuples(st.just("exit"), pids), st.tuples(st.just("exec"), pids), st.just(("look", 0)))
steps = st.lists(st.one_of(*[st.tuples(pids, numbers)] * 6, events), max_size=150)


def recorded(
    seed: int, steps: list[tuple[int | str, int]], leaving_s: float, *, deferred_bytes: int, ended: int = 500
) -> tuple[Kernel, Profile]:
    """What comes of these steps; so many bytes of samples may wait, so many ended processes have a row."""
    kernel = Kernel(Random(seed))

    def looks() -> Iterator[Look]:
        for what, number in steps:
            if isinstance(what, int):
                kernel.sample(what, number)
            elif what == "look":
                yield kernel.look()
            else:
                kernel.happens(number, exited=what == "exit")
        yield kernel.last_look()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_stacks, "_MOST_BYTES", 8_000)
        patch.setattr(known_stacks, "_MOST_BYTES_OF_CPU", 0)
        patch.setattr(known_stacks, "_LEAVING_S", leaving_s)
        patch.setattr(program, "_MOST_WHOLE", 5)
        patch.setattr(deferred, "_MOST_BYTES", deferred_bytes)
        patch.setattr(aggregate, "_MOST_ENDED", ended)
        return kernel, replay(looks(), forget=kernel.forget, code=code_of, clock=Clock())


@given(seed=st.integers(0, 1 << 32), steps=steps, leaving_s=st.sampled_from((-1.0, 10.0)))
@settings(deadline=None, max_examples=150)
def test_it_is_a_stack_or_a_loss_with_a_reason_or_lost(
    seed: int, steps: list[tuple[int | str, int]], leaving_s: float
) -> None:
    kernel, profile = recorded(seed, steps, leaving_s, deferred_bytes=1 << 20)
    losses = profile.losses
    counted: Counter[int] = Counter()
    for sample in profile.samples:
        counted[sample.root.pid - 1] += sample.count
    for process in losses.per_process:
        assert set(process.dropped) <= {Reason.CHANGED, Reason.WOULD_FAULT, Reason.EXITED}
        counted[process.root.pid - 1] += sum(process.dropped.values())
    assert losses.lost + counted.total() == kernel.taken.total()
    assert losses.samples == counted.total()
    if leaving_s > 0:
        assert losses.lost == 0, "what we let go of is kept for as long as the kernel may refer to it"
    assert counted <= kernel.taken


@given(seed=st.integers(0, 1 << 32), steps=steps)
@settings(deadline=None, max_examples=100)
def test_samples_that_are_taken_in_later_count_the_same(
    seed: int, steps: list[tuple[int | str, int]]
) -> None:
    (_, at_once), *others = (
        recorded(seed, steps, 10.0, deferred_bytes=most, ended=1) for most in (0, 5000, 1 << 20)
    )
    for _, later in others:
        assert Counter(later.samples) == Counter(at_once.samples)
        assert later.losses == at_once.losses
