"""Short records and the whole ones that they refer to, with a kernel that forgets, loses and evicts."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.capture import known_stacks
from profiler.capture.known_stacks import KnownStacks
from profiler.capture.records import ProcessEvent, RawSample, Repeated, StackCopy
from profiler.capture.wire import WireError
from tests.support.encoded import encoded, encoded_repeat
from tests.support.samples import raw_sample

EXEC = encoded(ProcessEvent(raw_sample().process, 5, 1_000_000_000, False, 0))


def stack_of(number: int) -> bytes:
    return (number + 1).to_bytes(16, "little")


def whole(number: int, time_ns: int = 0) -> RawSample:
    """A sample of the stack with this number; no two have the same length."""
    return raw_sample(pid=number + 1, time_ns=time_ns, user=(7,) * (number % 100), stack=stack_of(number))


def short(number: int, time_ns: int, cpu: int = 0) -> bytes:
    return encoded_repeat(stack_of(number), time_ns=time_ns, cpu=cpu)


class Kernel:
    """Samples as count.h does: it has room for few stacks, and some records find no room."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._known: list[bytes] = []
        self.lost = 0
        self.sent: list[bytes] = []
        self._left = 0
        self.numbers: Counter[int] = Counter()

    def sample(self, number: int, time_ns: int) -> None:
        is_known = stack_of(number) in self._known
        if self._random.random() < 0.1:
            self.lost += 1
            return
        self.numbers[number] += 1
        self.sent.append(short(number, time_ns) if is_known else encoded(whole(number, time_ns)))
        if not is_known:
            self._known.append(stack_of(number))
            if len(self._known) > 30:
                del self._known[self._random.randrange(30)]

    def forget(self, stack: bytes) -> None:
        if stack in self._known:
            self._known.remove(stack)

    def taken(self) -> list[bytes]:
        """What was sent but for the last: that is still being written, and is there for the next look."""
        count = max(self._left, len(self.sent) - self._random.randint(0, 3))
        taken, self.sent = self.sent[:count], self.sent[count:]
        self._left = len(self.sent)
        return taken


@given(
    seed=st.integers(0, 1 << 32),
    looks=st.lists(st.lists(st.integers(0, 45), max_size=60), min_size=1, max_size=30),
)
@settings(deadline=None, max_examples=200)
def test_each_sample_is_a_stack_or_lost(seed: int, looks: list[list[int]]) -> None:
    kernel = Kernel(Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_stacks, "_MOST_BYTES", 20_000)
        now_s = 0.0
        patch.setattr("time.monotonic", lambda: now_s)
        known = KnownStacks(kernel.forget)
        found: Counter[int] = Counter()

        def look(records: list[bytes]) -> None:
            for record in known.decode(records):
                assert isinstance(record, RawSample | Repeated)
                sample = record.sample() if isinstance(record, Repeated) else record
                number = sample.process.pid - 1
                assert sample == whole(number, sample.time_ns)
                found[number] += len(record.taken) if isinstance(record, Repeated) else 1

        time_ns = samples = 0
        for numbers in looks:
            for number in numbers:
                time_ns += 1
                kernel.sample(number, time_ns)
                samples += 1
            now_s += 0.3
            look(kernel.taken())
        look(kernel.sent)
    assert found == kernel.numbers, "what we evict is kept for as long as the kernel may refer to it"
    assert (found.total() + kernel.lost, known.lost) == (samples, 0)


def test_equal_samples_come_as_one_between_other_records() -> None:
    known = KnownStacks(pytest.fail)
    records = [encoded(whole(1)), short(1, 10), short(1, 20, cpu=3), EXEC, short(1, 30)]
    first, repeated, event, last = known.decode(records)
    assert first == whole(1)
    assert isinstance(event, ProcessEvent)
    assert isinstance(repeated, Repeated)
    assert (repeated.process, repeated.stack) == (first.process, stack_of(1))
    assert (repeated.taken, repeated.time_ns) == ([(0, 10), (3, 20)], 20)
    assert isinstance(last, Repeated)
    assert (len(last.taken), last.sample().time_ns) == (1, 30)


def test_what_nobody_has_is_lost_and_asked_for() -> None:
    forgotten: list[bytes] = []
    known = KnownStacks(forgotten.append)
    assert list(known.decode([short(1, 10), short(1, 20), short(2, 30)])) == []
    assert known.lost == 3
    assert forgotten == [stack_of(1), stack_of(2)]


def test_a_sample_that_was_not_counted_is_not_kept() -> None:
    known = KnownStacks(pytest.fail)
    sample = raw_sample()
    assert list(known.decode([encoded(sample)])) == [sample]


def test_a_short_record_that_is_cut_is_refused() -> None:
    known = KnownStacks(pytest.fail)
    list(known.decode([encoded(whole(1))]))
    with pytest.raises(WireError):
        list(known.decode([short(1, 10) + b"more"]))


def test_what_a_process_showed_goes_soon_after_its_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(known_stacks.time, "monotonic", lambda: now_s[0])
    forgotten: list[bytes] = []
    stacks = KnownStacks(forgotten.append)
    exited = encoded(ProcessEvent(whole(1).process, 5, 1_000_000_000, True, 0))
    list(stacks.decode([encoded(whole(1)), encoded(whole(2)), exited]))
    (last,) = stacks.decode([short(1, 7)])
    assert isinstance(last, Repeated), "it was taken before the exit"
    now_s[0] += 1.0
    list(stacks.decode([]))
    assert [type(each) for each in stacks.decode([short(1, 8), short(2, 9)])] == [Repeated]
    assert (stacks.lost, forgotten) == (1, [stack_of(1)])


def test_what_comes_whole_after_an_exit_is_known_too() -> None:
    stacks = KnownStacks(lambda _stack: None)
    exited = encoded(ProcessEvent(whole(1).process, 5, 1_000_000_000, True, 0))
    found = list(
        stacks.decode([encoded(whole(1)), exited, encoded(whole(1)), exited, encoded(whole(1)), short(1, 7)])
    )
    assert isinstance(found[-1], Repeated)


def test_what_takes_long_to_exit_loses_nothing_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(known_stacks.time, "monotonic", lambda: now_s[0])
    known: set[bytes] = set()
    stacks = KnownStacks(known.discard)
    list(stacks.decode([encoded(ProcessEvent(whole(1).process, 5, 1_000_000_000, True, 0))]))
    for look in range(6):
        # As count.h does. A second sample was on its way before the kernel heard that it is to forget.
        sent = [short(1, look)] if stack_of(1) in known else [encoded(whole(1, look))]
        known.add(stack_of(1))
        sent.append(short(1, look))
        assert [type(each) for each in stacks.decode(sent)] == [RawSample, Repeated]
        now_s[0] += 2.0
        list(stacks.decode([]))
    assert stacks.lost == 0
    assert not known
    assert list(stacks.decode([short(1, 20)])) == []
    assert stacks.lost == 1, "it was let go of"


def copied(time_ns: int, cpu: int = 0) -> StackCopy:
    return StackCopy(cpu, time_ns, 0x1000, 0x7000, 0x7010, 3, True, 2, bytes(range(200)))


def test_a_copy_belongs_to_the_sample_of_its_cpu_and_time() -> None:
    known = KnownStacks(lambda stack: None)
    first, second = copied(5, cpu=0), copied(6, cpu=1)
    records = [first, second, raw_sample(cpu=1, time_ns=6), raw_sample(cpu=0, time_ns=5)]
    assert list(known.decode(map(encoded, records))) == [
        raw_sample(cpu=1, time_ns=6, copy=second),
        raw_sample(cpu=0, time_ns=5, copy=first),
    ]


def test_the_copy_of_a_sample_that_was_lost_is_nobody_elses() -> None:
    known = KnownStacks(lambda stack: None)
    samples = [raw_sample(time_ns=6), raw_sample(time_ns=7)]
    assert list(known.decode(map(encoded, [copied(5), *samples]))) == samples


def test_a_copy_waits_for_the_next_look() -> None:
    known = KnownStacks(lambda stack: None)
    assert list(known.decode([encoded(copied(5))])) == []
    assert list(known.decode([encoded(raw_sample(time_ns=5))])) == [raw_sample(time_ns=5, copy=copied(5))]
