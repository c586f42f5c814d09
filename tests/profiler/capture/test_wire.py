"""Records survive the way through bytes, and forged ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.capture.header import read_header
from profiler.capture.records import CodeName, ProcessEvent, RawSample, StackCopy
from profiler.capture.wire import WireError, decode
from symbolizers.frame import RawFrame
from symbolizers.process.identity import ProcessId
from symbolizers.taken import TakenName
from tests.support.encoded import encoded
from tests.support.samples import raw_sample

HEADER = read_header("records.h")
HEAD = HEADER.structs["sample_head"].layout
FRAME = HEADER.structs["interpreter_frame"].layout
EVENT = HEADER.structs["process_event"].layout
NAME = HEADER.structs["name_head"].layout
TYPES = HEADER.enums["record_type"]
TICK_NS = ProcessId(0, 1).start_ns()

Alone = RawSample | StackCopy | CodeName | ProcessEvent

u16 = st.integers(0, (1 << 16) - 1)
u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(0, (1 << 64) - 1)
addresses = st.lists(u64, max_size=HEADER.defines["MAX_KERNEL_FRAMES"]).map(tuple)
processes = st.builds(ProcessId, u32, st.integers(0, (1 << 64) // TICK_NS - 1))
samples = st.builds(
    raw_sample,
    pid=u32,
    tid=u32,
    cpu=u32,
    time_ns=u64,
    start_ns=u64,
    comm=st.binary(max_size=16).filter(lambda comm: b"\0" not in comm),
    walk_status=st.integers(0, 255),
    interpreter=st.lists(st.builds(RawFrame, u64, u32, u32, u64), max_size=40).map(tuple),
    user=addresses,
    kernel=addresses,
    parent=processes,
    thread_pointer=u64,
    thread_comm=st.binary(max_size=16).filter(lambda comm: b"\0" not in comm),
    uid=u32,
    walkers=st.integers(0, 255),
    stack=st.just(b"") | st.binary(min_size=16, max_size=16).filter(any),
    cgroup=u64,
)
events = st.builds(
    lambda pid, time_ns, start_ns, exited, uid: ProcessEvent(
        ProcessId.from_start_ns(pid, start_ns), time_ns, start_ns, exited, uid
    ),
    u32,
    u64,
    u64,
    st.booleans(),
    u32,
)
texts = st.tuples(
    *[st.none() | st.binary(max_size=HEADER.defines["TEXT_BYTES"])] * HEADER.defines["MAX_TEXTS"]
)
copies = st.builds(StackCopy, u32, u64, u64, u64, u64, u64, st.booleans(), u32, st.binary(max_size=100))
names = st.builds(
    lambda pid, start_ns, name, parent, uid: CodeName(
        ProcessId.from_start_ns(pid, start_ns), start_ns, name, parent, uid
    ),
    u32,
    u64,
    st.builds(TakenName, u64, u32, u32, u32, texts),
    processes,
    u32,
)


@given(samples | events | names | copies)
@settings(deadline=None)
def test_what_the_kernel_packs_is_what_comes_out(record: Alone) -> None:
    assert decode(encoded(record)) == record


def test_the_largest_record_is_decoded() -> None:
    native = tuple(range(HEADER.defines["MAX_KERNEL_FRAMES"]))
    frames = tuple(RawFrame(n, n, n, n) for n in range(HEADER.defines["MAX_INTERPRETER_FRAMES"]))
    sample = raw_sample(comm=b"x" * 16, interpreter=frames, user=native, kernel=native)
    assert decode(encoded(sample)) == sample


def test_a_command_name_ends_at_its_first_zero() -> None:
    record = bytearray(encoded(raw_sample(comm=b"short")))
    at = record.index(b"short")
    record[at + 6 : at + 10] = b"junk"
    decoded = decode(bytes(record))
    assert isinstance(decoded, RawSample)
    assert decoded.comm == b"short"


@given(samples | events | names, st.data())
@settings(deadline=None)
def test_a_record_cut_short_is_refused(record: Alone, data: st.DataObject) -> None:
    whole = encoded(record)
    with pytest.raises(WireError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(u32.filter(lambda kind: kind not in TYPES.values()), st.binary(max_size=200))
@settings(deadline=None)
def test_an_unknown_type_is_refused(kind: int, rest: bytes) -> None:
    with pytest.raises(WireError):
        decode(kind.to_bytes(4, "little") + rest)


@given(st.sampled_from(sorted(TYPES.values())), st.binary(max_size=2000))
@settings(deadline=None)
def test_forged_bytes_give_a_value_or_a_wire_error(kind: int, rest: bytes) -> None:
    record = kind.to_bytes(4, "little") + rest
    try:
        decoded = decode(record)
    except WireError:
        return
    if isinstance(decoded, RawSample):
        held = len(decoded.interpreter) * FRAME.size + 8 * (len(decoded.user) + len(decoded.kernel))
        assert HEAD.size + held <= len(record)


def test_the_leaf_is_the_first_frame_of_code() -> None:
    annotation, inner, outer = RawFrame(200 << 56 | 5, 0, 0), RawFrame(1 << 56 | 5, 0, 0), RawFrame(6, 0, 0)
    sample = raw_sample(interpreter=(annotation, inner, outer))
    assert sample.leaf() == inner
    assert replace(sample, interpreter=(outer, annotation)).leaf() == outer
    assert replace(sample, interpreter=(annotation,)).leaf() is None
    assert replace(sample, interpreter=()).leaf() is None
