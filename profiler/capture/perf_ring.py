"""The buffer of a perf event: the records of one CPU, read where they are mapped."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

from symbolizers.process.syscalls import perf_event_open

# linux/perf_event.h: struct perf_event_mmap_page, with which the buffer begins, and struct perf_event_header.
_HEAD, _TAIL = 1024, 1032
_HEADER = struct.Struct("=IHH")
_WORD = struct.Struct("=Q")


class PerfRing:
    """What one event tells on one CPU. Lifetime: the event's."""

    def __init__(self, attributes: bytes, cpu: int, pages: int) -> None:
        """The event in `attributes` (struct perf_event_attr), with room for so many `pages`, a power of two.

        Raises OSError where the kernel does not allow it.
        """
        self._size = pages * mmap.PAGESIZE
        self.fd = perf_event_open(attributes, cpu)
        try:
            self._memory = mmap.mmap(self.fd, mmap.PAGESIZE + self._size)
        except OSError:
            os.close(self.fd)
            raise

    def drain(self) -> Iterator[tuple[int, int, bytes]]:
        """The type, misc bits and body of each record that has come."""
        (head,) = _WORD.unpack_from(self._memory, _HEAD)
        (tail,) = _WORD.unpack_from(self._memory, _TAIL)
        if head == tail:
            return
        at, length = tail % self._size, head - tail
        data = self._memory[mmap.PAGESIZE + at : mmap.PAGESIZE + min(self._size, at + length)]
        data += self._memory[mmap.PAGESIZE : mmap.PAGESIZE + length - len(data)]
        _WORD.pack_into(self._memory, _TAIL, head)
        at = 0
        while at < len(data):
            kind, misc, record_bytes = _HEADER.unpack_from(data, at)
            yield kind, misc, data[at + _HEADER.size : at + record_bytes]
            at += record_bytes

    def close(self) -> None:
        """Ends the event."""
        self._memory.close()
        os.close(self.fd)
