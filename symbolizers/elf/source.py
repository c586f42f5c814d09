"""Bounded reads of a file that its owner may truncate, replace or forge while it is read."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

from symbolizers.errors import Malformed

MAX_READ_BYTES = 128 << 20
"""The largest single read: a string table of a browser with symbols is about half of it."""

_HEAD_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_COMPRESSION_HEADER_BYTES = 24
_ZLIB = 1


class Source(Protocol):
    """The bytes of one file. Lifetime: as long as whoever opened it keeps it open."""

    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes at `offset`. Raises `Malformed` where the file does not have them."""


def check_range(offset: int, size: int, *, file_size: int) -> None:
    """Raises `Malformed` unless ``[offset, offset + size)`` lies in the file and may be read at once."""
    if offset < 0 or not 0 <= size <= MAX_READ_BYTES or offset + size > file_size:
        raise Malformed(f"{size} bytes at {offset:#x} do not lie in a file of {file_size} bytes")


class BytesSource:
    """A file that is in memory already."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        """See `Source.read`."""
        check_range(offset, size, file_size=self.size)
        return self._data[offset : offset + size]


class DescriptorSource:
    """A file read with pread: a mapping would turn the owner's truncation into a SIGBUS of ours.

    The descriptor is borrowed: the caller closes it, after the last read.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Malformed("not a regular file")
            self._head = os.pread(descriptor, _HEAD_BYTES, 0)
        except OSError as error:
            raise Malformed(f"unreadable: {error.strerror}") from error
        self.size = status.st_size
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        """See `Source.read`. The first page comes from memory: it holds most of what opening a file needs."""
        check_range(offset, size, file_size=self.size)
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        try:
            data = os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise Malformed(f"unreadable at {offset:#x}: {error.strerror}") from error
        if len(data) != size:
            raise Malformed(f"truncated at {offset + len(data):#x} while it was read")
        return data


def inflated(data: bytes, most_bytes: int) -> bytes:
    """The content of a section with SHF_COMPRESSED (System V ABI, "Section Compression"), packed by zlib.

    Raises `Malformed`, also where it is packed by anything else, or would be larger than `most_bytes`.
    """
    try:
        (kind,) = struct.unpack_from("<I", data)
        decoder = zlib.decompressobj()
        content = decoder.decompress(data[_COMPRESSION_HEADER_BYTES:], most_bytes) if kind == _ZLIB else b""
    except (struct.error, zlib.error) as error:
        raise Malformed(f"a compressed section: {error}") from error
    if not decoder.eof:
        raise Malformed(f"a compressed section: not by zlib, cut off, or more than {most_bytes} bytes")
    return content


def find_all(source: Source, needle: bytes, *, start: int, size: int) -> Iterator[int]:
    """Offsets, relative to `start`, of every `needle` in that range of the file (overlapping ones too).

    Reads in blocks, so that the range may be larger than what should be in memory at once.
    """
    overlap = len(needle) - 1
    for block in range(0, size, _BLOCK_BYTES):
        data = source.read(start + block, min(_BLOCK_BYTES + overlap, size - block))
        position = data.find(needle)
        while position >= 0:
            yield block + position
            position = data.find(needle, position + 1)
