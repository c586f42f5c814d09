"""All functions of one file, sorted by address, in arrays (some 25 bytes a function and their names)."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from symbolizers.elf.eh_frame_hdr import NO_STARTS, FunctionStarts
from symbolizers.elf.source import Source
from symbolizers.elf.symbols import SYMBOL_BYTES, SymbolTable
from symbolizers.errors import Malformed

_EXPORTED, _WEAK, _LOCAL, _NO_FUNCTION = 0, 1, 2, 255
_UNDEFINED = (0, 0)  # section number 0, by bytes: another file defines the symbol
_MAX_ALIASES = 64
"""Linkers fold equal functions into one, which then has as many names as there were functions."""
_MAX_ENCLOSING = 64
"""How many functions before an address are asked whether they reach that far."""
_MAX_NAME_BYTES = 8192


def _binding_of_info() -> bytes:
    """A table from the symbol's info byte (binding << 4 | type) to how its name ranks."""
    ranks = {1: _EXPORTED, 2: _WEAK, 10: _EXPORTED}  # STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE
    function_types = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
    return bytes(
        ranks.get(info >> 4, _LOCAL) if info & 15 in function_types else _NO_FUNCTION for info in range(256)
    )


_BINDING_OF_INFO = _binding_of_info()


class FunctionTable:
    """Names of the functions of one file by virtual address (as linked).

    Holds bytes and arrays only: it outlives the file's descriptor and can be sent to another process.
    """

    __slots__ = ("_bindings", "_boundaries", "_names", "_sizes", "_starts", "_strings", "unwind")

    def __init__(self, unwind: FunctionStarts = NO_STARTS, boundaries: Iterable[int] = ()) -> None:
        """`boundaries`: ends of executable sections and segments; no symbol without a size passes one."""
        self.unwind = unwind
        self._boundaries = sorted(boundaries)
        self._strings: list[bytes] = []
        self._starts = array("Q")
        self._sizes = array("Q")
        self._names = array("Q")  # index in _strings << 32 | offset there
        self._bindings = array("B")

    @classmethod
    def read(
        cls,
        tables: Sequence[tuple[Source, SymbolTable]],
        *,
        unwind: FunctionStarts = NO_STARTS,
        boundaries: Iterable[int] = (),
    ) -> FunctionTable:
        """The functions of all `tables`. One that breaks its own rules is left out, the others stay."""
        functions = cls(unwind, boundaries)
        for source, table in tables:
            try:
                functions._add(source, table)
            except Malformed:
                continue
        functions._sort()
        return functions

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, address: int) -> tuple[str, int] | None:
        """Name and start of the innermost function around `address`, or None where there is none.

        Of several names for the same code: exported before local, then the one with fewer leading
        underscores. A function without a size reaches to the next one, at most to its section's end.
        """
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
                return min(self._preference(index) for index in around)[-1], start
            last = first
        return None

    def start_of(self, address: int) -> int | None:
        """The start of the function around `address` as unwind information has it, named or not."""
        start = self.unwind.at_or_before(address)
        return start if start is not None and address < self._section_end(start) else None

    def _add(self, source: Source, table: SymbolTable) -> None:
        data = source.read(table.offset, table.size)
        strings = source.read(table.strings_offset, table.strings_size)
        bindings = data[4::SYMBOL_BYTES].translate(_BINDING_OF_INFO)
        sections = zip(data[6::SYMBOL_BYTES], data[7::SYMBOL_BYTES], strict=True)
        kept = [
            index
            for index, (binding, section) in enumerate(zip(bindings, sections, strict=True))
            if binding != _NO_FUNCTION and section != _UNDEFINED
        ]
        words = array("Q", data)
        base = len(self._strings) << 32
        self._strings.append(strings)
        self._starts.extend(map(words[1::3].__getitem__, kept))
        self._sizes.extend(map(words[2::3].__getitem__, kept))
        self._names.extend([base | words[index * 3] & 0xFFFFFFFF for index in kept])
        self._bindings.extend(map(bindings.__getitem__, kept))

    def _sort(self) -> None:
        order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._starts = array("Q", map(self._starts.__getitem__, order))
        self._sizes = array("Q", map(self._sizes.__getitem__, order))
        self._names = array("Q", map(self._names.__getitem__, order))
        self._bindings = array("B", map(self._bindings.__getitem__, order))

    def _preference(self, index: int) -> tuple[bool, int, int, int, str]:
        name = self._name(index)
        binding = self._bindings[index]
        return binding == _LOCAL, len(name) - len(name.lstrip("_")), binding, index, name

    def _name(self, index: int) -> str:
        strings = self._strings[self._names[index] >> 32]
        offset = self._names[index] & 0xFFFFFFFF
        end = strings.find(b"\0", offset, offset + _MAX_NAME_BYTES)
        name = strings[offset : end if end >= 0 else offset + _MAX_NAME_BYTES]
        return name.decode(errors="backslashreplace").partition("@")[0]

    def _section_end(self, start: int) -> int:
        index = bisect_right(self._boundaries, start)
        return self._boundaries[index] if index < len(self._boundaries) else 0

    def _end_of_unsized(self, start: int, following: int) -> int:
        end = self._section_end(start)
        if following < len(self._starts):
            end = min(end, self._starts[following])
        unwound = self.unwind.after(start)
        return end if unwound is None else min(end, unwound)
