"""The functions that a runtime generates, by the dump that it writes for perf: ``jit-PID.dump``.

A header and then records, each with its size (tools/perf/Documentation/jitdump-specification.txt of Linux).
A record JIT_CODE_LOAD has a function's name and place, and its machine code, which is passed over. A runtime
appends to it while it runs, and code may come, or be moved to, where other code was: the last record about an
address counts.
"""

from __future__ import annotations

import errno
import os
import struct

from symbolizers.errors import Malformed
from symbolizers.native.generated_places import GeneratedFunction, Places
from symbolizers.native.unnamed import bounded

MOST_BYTES = 4 << 30
"""Of a dump: only the heads of records are read."""
MOST_FUNCTIONS = 1 << 18
"""That are kept, of some 150 bytes each."""
_LONGEST_NAME_BYTES = 1 << 12
_BLOCK_BYTES = 1 << 16

_HEADER = struct.Struct("<III")
"""Magic, version, and the size of the whole header; the rest is not needed here."""
_MAGIC = 0x4A695444
_PREFIX = struct.Struct("<IIQ")
"""Kind, size with this prefix, time."""
_LOAD = struct.Struct("<IIQQQQ")
"""Process, thread, address in the dump, address, size, number."""
_MOVE = struct.Struct("<IIQQQQQ")
"""Process, thread, address in the dump, old address, new address, size, number."""
_JIT_CODE_LOAD, _JIT_CODE_MOVE = 0, 1


class JitDump:
    """What was read of the dump in an open file, which the caller closes."""

    def __init__(self, fd: int) -> None:
        """Raises `Malformed` if it is no dump, or not one of this machine's byte order."""
        self._fd = fd
        self._block, self._block_at = b"", 0
        try:
            magic, _, header_bytes = _HEADER.unpack(self._read(0, _HEADER.size))
        except OSError as error:
            raise Malformed(f"it has no header: {error.strerror}") from None
        if magic != _MAGIC:
            raise Malformed("it is no jitdump")
        self._first_record = self._read_bytes = max(header_bytes, _HEADER.size)
        self._places = Places()
        self._numbers: dict[int, int] = {}
        """By the number that the runtime gives a function, where its name is."""

    def read_on(self) -> None:
        """Takes in what was appended. Raises OSError."""
        size = min(os.fstat(self._fd).st_size, MOST_BYTES)
        if size < self._read_bytes:  # it was begun anew
            self._read_bytes, self._places, self._numbers = self._first_record, Places(), {}
        at = self._read_bytes
        self._block = b""
        while at + _PREFIX.size <= size and len(self._places) < MOST_FUNCTIONS:
            kind, record_bytes, _ = _PREFIX.unpack(self._read(at, _PREFIX.size))
            if record_bytes < _PREFIX.size or at + record_bytes > size:
                break  # the rest comes later, or it is no dump
            self._take_in(kind, at + _PREFIX.size, record_bytes - _PREFIX.size)
            at += record_bytes
            self._read_bytes = at
        self._places.sort()

    def find(self, address: int) -> GeneratedFunction | None:
        """The function around `address`, as it was said last. Raises OSError."""
        found = self._places.find(address)
        if found is None:
            return None
        start, place = found
        name = os.pread(self._fd, _LONGEST_NAME_BYTES, place).partition(b"\0")[0]
        return GeneratedFunction(start, bounded(name.decode("utf-8", "replace")))

    def _take_in(self, kind: int, at: int, size: int) -> None:
        if kind == _JIT_CODE_LOAD and size > _LOAD.size:
            *_, start, code_bytes, number = _LOAD.unpack(self._read(at, _LOAD.size))
            self._numbers[number] = at + _LOAD.size
            self._places.add(start, start + code_bytes, at + _LOAD.size)
        elif kind == _JIT_CODE_MOVE and size >= _MOVE.size:
            *_, start, code_bytes, number = _MOVE.unpack(self._read(at, _MOVE.size))
            if number in self._numbers:
                self._places.add(start, start + code_bytes, self._numbers[number])

    def _read(self, at: int, size: int) -> bytes:
        """So many bytes, by blocks, since most records are small. Raises OSError if they are not there."""
        begin = at - self._block_at
        if begin < 0 or begin + size > len(self._block):
            self._block, self._block_at = os.pread(self._fd, _BLOCK_BYTES, at), at
            begin = 0
        if len(self._block) < begin + size:
            raise OSError(errno.ENODATA, "the dump is shorter than it was")
        return self._block[begin : begin + size]
