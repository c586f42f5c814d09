"""Tables of texts and columns of numbers as the compressed data of a page, which reads them as arrays.

Layout before gzip: the length of the head (u32), the head (JSON, UTF-8), the columns. All integers are little
endian. A column of n numbers of w bytes is w planes of n bytes, the lowest bytes first: the upper planes are
nearly all zeros, which gzip makes short and fast. ``columns`` in the head names them in order, with w and n.
"""

from __future__ import annotations

import gzip
import json
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

GZIP_LEVEL = 6
_TYPE_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Column(Struct, frozen=True):
    """Numbers from 0 to 2^64 - 1, under the name that the page has for them."""

    name: str
    values: Sequence[int]

    def width(self) -> int:
        """The bytes of each number."""
        most = max(self.values, default=0)
        return next(width for width in _TYPE_CODES if most < 1 << (8 * width))

    def planes(self) -> Iterable[bytes]:
        """The bytes of all numbers, the lowest of each first."""
        width = self.width()
        numbers = array(_TYPE_CODES[width], self.values)
        if struct.pack("=H", 1) != struct.pack("<H", 1):
            numbers.byteswap()
        data = numbers.tobytes()
        return (data[plane::width] for plane in range(width))


def packed(tables: Mapping[str, object], columns: Sequence[Column]) -> bytes:
    """The compressed data: `tables` are what JSON can hold. Equal contents give equal bytes."""
    named = [[column.name, column.width(), len(column.values)] for column in columns]
    text = json.dumps({"columns": named, **tables}, ensure_ascii=False, separators=(",", ":")).encode()
    planes = chain.from_iterable(column.planes() for column in columns)
    return gzip.compress(b"".join((struct.pack("<I", len(text)), text, *planes)), GZIP_LEVEL, mtime=0)
