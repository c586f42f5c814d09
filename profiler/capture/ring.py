"""The ring buffer through which records come, read where it is mapped: a record costs no call.

libbpf would call back for each record, which takes Python longer than decoding it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<II")
"""The length of a record with two flags, and an offset that is the kernel's own (BPF_RINGBUF_HDR_SZ)."""
_IS_BUSY, _IS_DISCARDED = 1 << 31, 1 << 30
_ALIGNMENT = 8


class RingBuffer:
    """A map of type BPF_MAP_TYPE_RINGBUF. The reader must not be slow for long: it has one size, and no wait.

    The kernel maps the data twice, one after the other, so that every record is in one piece. It stores a
    record before the producer's position, and x86-64 shows stores, and does loads, in order.
    """

    def __init__(self, fd: int, size: int) -> None:
        """`size` in bytes, as the map has it. Raises OSError."""
        self._size = size
        self._consumer = mmap.mmap(fd, mmap.PAGESIZE)
        self._producer = mmap.mmap(fd, mmap.PAGESIZE + 2 * size, prot=mmap.PROT_READ, offset=mmap.PAGESIZE)
        # A position is one word, and is read and stored as one.
        self._consumed = memoryview(self._consumer).cast("Q")
        self._produced = memoryview(self._producer).cast("Q")

    def drain(self) -> Iterator[bytes]:
        """The records that are there now, each of which makes room when the next one is taken."""
        consumed, produced = self._consumed[0], self._produced[0]
        while consumed < produced:
            at = mmap.PAGESIZE + consumed % self._size
            length, _ = _HEADER.unpack_from(self._producer, at)
            if length & _IS_BUSY:
                return
            size = length & ~_IS_DISCARDED
            start = at + _HEADER.size
            if not length & _IS_DISCARDED:
                yield self._producer[start : start + size]
            consumed += -(-(_HEADER.size + size) // _ALIGNMENT) * _ALIGNMENT
            self._consumed[0] = consumed

    def close(self) -> None:
        """Safe to call twice."""
        self._consumed.release()
        self._produced.release()
        self._consumer.close()
        self._producer.close()
