"""All functions of one file, sorted by address, in arrays: 24 bytes a function. Names stay in the file."""

from __future__ import annotations

import ctypes
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import compress

from symbolizers.elf.eh_frame_hdr import NO_STARTS, FunctionStarts
from symbolizers.elf.source import Source
from symbolizers.elf.symbols import SYMBOL_BYTES, SymbolTable
from symbolizers.errors import Malformed

_EXPORTED, _WEAK, _LOCAL, _NO_FUNCTION = 0, 1, 2, 255
_MAX_SYMBOLS = 3 << 20
"""In all tables of a file together: one of the most symbols, and half as many in the others."""
_MAX_ALIASES = 64
"""Linkers fold equal functions into one, which then has as many names as there were functions."""
_MAX_ENCLOSING = 64
"""How many functions before an address are asked whether they reach that far."""

_NO_END = 1 << 64

_INFO, _SECTION = 4, 6
"""Bytes of a symbol: binding and type; the number of its section, of two bytes."""


def _binding_of_info() -> bytes:
    """A table from the symbol's info byte (binding << 4 | type) to how its name ranks."""
    ranks = {1: _EXPORTED, 2: _WEAK, 10: _EXPORTED}  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
    function_types = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
    return bytes(
        ranks.get(info >> 4, _LOCAL) if info & 15 in function_types else _NO_FUNCTION for info in range(256)
    )


_BINDING_OF_INFO = _binding_of_info()
_FUNCTION_MASK = bytes(0 if binding == _NO_FUNCTION else 255 for binding in _BINDING_OF_INFO)


class FunctionTable:
    """Names of the functions of one file by virtual address (as linked).

    Lifetime: as long as its sources can be read; a name is read when it is asked for.
    """

    __slots__ = ("_boundaries", "_sizes", "_starts", "_symbols", "_tables", "unwind")

    def __init__(
        self,
        tables: Sequence[tuple[Source, SymbolTable]],
        *,
        unwind: FunctionStarts = NO_STARTS,
        boundaries: Iterable[int] = (),
    ) -> None:
        """The functions of all `tables`. One that breaks its own rules is left out, the others stay.

        `boundaries`: ends of executable sections and segments; no symbol without a size passes one.
        """
        self.unwind = unwind
        self._boundaries = sorted(boundaries)
        self._tables = tables
        left = _MAX_SYMBOLS
        functions = array("Q")
        for number, (source, table) in enumerate(tables):
            if table.size // SYMBOL_BYTES <= left:
                left -= table.size // SYMBOL_BYTES
                _append(functions, source, table, number)
        _sort(functions)
        self._starts = functions[0::3]
        self._symbols = functions[1::3]  # index of the table << 32 | index there
        self._sizes = functions[2::3]

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, address: int) -> tuple[str, int] | None:
        """Name and start of the innermost function around `address`, or None where there is none.

        Of several names for the same code: exported before local, then the one with fewer leading
        underscores. A function without a size reaches to the next one, at most to its section's end.
        Raises `Malformed` where the name can't be read any more.
        """
        around = self._around(address)
        return (min(map(self._preference, around))[-1], self._starts[around[0]]) if around else None

    def end_at(self, address: int) -> int:
        """Behind the last address from `address` on that belongs to the same function, named or not."""
        following = bisect_right(self._starts, address)
        ends = [_NO_END, *self._starts[following : following + 1]]
        if around := self._around(address):
            start = self._starts[around[0]]
            size = max(self._sizes[index] for index in around)
            return min(*ends, start + size if size else self._end_of_unsized(start, following))
        if self.start_of(address) is None:
            return address + 1
        unwound = self.unwind.after(address)
        return min(*ends, self._section_end(address), _NO_END if unwound is None else unwound)

    def _around(self, address: int) -> list[int]:
        """The numbers of all names for the innermost function around `address`."""
        last = following = bisect_right(self._starts, address)
        for _ in range(_MAX_ENCLOSING):
            if last == 0:
                break
            start = self._starts[last - 1]
            first = bisect_left(self._starts, start, 0, last)
            aliases = range(first, min(last, first + _MAX_ALIASES))
            around = [index for index in aliases if address - start < self._sizes[index]]
            if not any(self._sizes[index] for index in aliases) and last == following:
                around = list(aliases) if address < self._end_of_unsized(start, following) else []
            if around:
                return around
            last = first
        return []

    def start_of(self, address: int) -> int | None:
        """The start of the function around `address` as unwind information has it, named or not."""
        start = self.unwind.at_or_before(address)
        return start if start is not None and address < self._section_end(start) else None

    def _preference(self, index: int) -> tuple[bool, int, int, int, str]:
        source, table = self._tables[self._symbols[index] >> 32]
        name, info = table.symbol_at(source, self._symbols[index] & 0xFFFFFFFF)
        binding = _BINDING_OF_INFO[info]
        return binding == _LOCAL, len(name) - len(name.lstrip("_")), binding, index, name

    def _section_end(self, start: int) -> int:
        index = bisect_right(self._boundaries, start)
        return self._boundaries[index] if index < len(self._boundaries) else 0

    def _end_of_unsized(self, start: int, following: int) -> int:
        end = self._section_end(start)
        if following < len(self._starts):
            end = min(end, self._starts[following])
        unwound = self.unwind.after(start)
        return end if unwound is None else min(end, unwound)


def _append(functions: array[int], source: Source, table: SymbolTable, number: int) -> None:
    """Appends the functions that `table` defines: start, `number` and index, size. None if malformed."""
    before = len(functions)
    first = number << 32
    try:
        for data in table.blocks(source):
            functions.extend(_functions_in(data, first))
            first += len(data) // SYMBOL_BYTES
    except Malformed:
        del functions[before:]


def _functions_in(symbols: bytes, first: int) -> array[int]:
    """The functions that are defined among `symbols`, which are numbered from `first` on."""
    count = len(symbols) // SYMBOL_BYTES
    masks = symbols[_INFO::SYMBOL_BYTES].translate(_FUNCTION_MASK)
    # A section 0 means that another file defines it.
    low, high, mask = (
        int.from_bytes(column, "little")
        for column in (symbols[_SECTION::SYMBOL_BYTES], symbols[_SECTION + 1 :: SYMBOL_BYTES], masks)
    )
    wanted = ((low | high) & mask).to_bytes(count, "little")
    words = array("Q", symbols)
    columns = (words[1::3], range(first, first + count), words[2::3])
    starts, numbers, sizes = (array("Q", compress(column, wanted)) for column in columns)
    found = array("Q", bytes(SYMBOL_BYTES * len(starts)))
    found[0::3], found[1::3], found[2::3] = starts, numbers, sizes
    return found


_libc = ctypes.CDLL(None)
_qsort_r = _libc.qsort_r
_qsort_r.argtypes = (*(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t), *(ctypes.c_void_p,) * 2)
_qsort_r.restype = None
_memcmp = ctypes.cast(_libc.memcmp, ctypes.c_void_p)


def _sort(functions: array[int]) -> None:
    """Sorts by start, then by number.

    The C library sorts millions in place, in half the time and a quarter of the memory that a list of as many
    numbers takes. Its qsort_r hands its last argument to memcmp: how many bytes to compare. Bytes compare as
    numbers where the highest comes first.
    """
    functions.byteswap()
    _qsort_r(functions.buffer_info()[0], len(functions) // 3, SYMBOL_BYTES, _memcmp, 16)
    functions.byteswap()
