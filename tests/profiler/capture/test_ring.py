"""The ring buffer's reader, over a file that is laid out as the kernel lays its ring out."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.capture.ring import RingBuffer

SIZE = mmap.PAGESIZE
BUSY, DISCARDED = 1 << 31, 1 << 30


class Ring:
    """A page with the consumer's position, one with the producer's, and the data twice, as one."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * mmap.PAGESIZE + 2 * SIZE)
        self.produced = 0

    def produce(self, record: bytes, flags: int = 0) -> None:
        framed = struct.pack("<II", len(record) | flags, 0) + record
        framed += b"\xee" * (-len(framed) % 8)
        for offset, byte in enumerate(framed):
            at = (self.produced + offset) % SIZE
            for copy in (0, SIZE):
                os.pwrite(self.fd, bytes([byte]), 2 * mmap.PAGESIZE + copy + at)
        self.produced += len(framed)
        os.pwrite(self.fd, struct.pack("<Q", self.produced), mmap.PAGESIZE)

    def consumed(self) -> int:
        (position,) = struct.unpack("<Q", os.pread(self.fd, 8, 0))
        assert isinstance(position, int)
        return position


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring()
    yield ring
    os.close(ring.fd)


@given(batches=st.lists(st.lists(st.binary(max_size=300), max_size=8), max_size=12))
def test_every_record_comes_whole_in_order_and_once(batches: list[list[bytes]]) -> None:
    ring = Ring()
    with closing(RingBuffer(ring.fd, SIZE)) as reader:
        for batch in batches:
            for record in batch:
                ring.produce(record)
            assert list(reader.drain()) == batch
            assert ring.consumed() == ring.produced
    os.close(ring.fd)


def test_what_is_still_written_is_left_and_what_was_given_up_is_passed_over(ring: Ring) -> None:
    with closing(RingBuffer(ring.fd, SIZE)) as reader:
        ring.produce(b"given up", DISCARDED)
        ring.produce(b"first")
        at = ring.produced
        ring.produce(b"not yet", BUSY)
        assert list(reader.drain()) == [b"first"]
        assert ring.consumed() == at
        os.pwrite(ring.fd, struct.pack("<I", len(b"not yet")), 2 * mmap.PAGESIZE + at)
        assert list(reader.drain()) == [b"not yet"]


def test_it_is_closed_twice(ring: Ring) -> None:
    reader = RingBuffer(ring.fd, SIZE)
    reader.close()
    reader.close()
