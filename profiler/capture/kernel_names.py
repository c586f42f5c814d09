"""Names of kernel addresses, as the kernel itself writes them.

For whoever reads /proc/kallsyms the kernel writes all its functions, 120,000 and more, which takes 0.05 s.
Here it writes those that were sampled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from profiler.capture.header import read_header
from profiler.capture.kernel_objects import number
from profiler.capture.libbpf import RAW_TRACEPOINT, run_program
from profiler.capture.loading import Loading
from profiler.capture.program import Part

_PROGRAM: Final = "on_symbols"
_NO_NAME: Final = b"0x"
"""What begins the text of an address that is in no function known."""
_FORMAT: Final = b"%ps".ljust(8, b"\0")
_DEFINES: Final = read_header("records.h").defines
_MOST: Final = _DEFINES["MAX_SYMBOLS"]
_ADDRESSES: Final = struct.Struct(f"<{_MOST}Q")
_NAME: Final = struct.Struct(f"{_DEFINES['SYMBOL_BYTES']}s")


class KernelNames:
    """Asks the kernel. Lifetime: that of its objects."""

    def __init__(self, loading: Loading) -> None:
        """Raises OSError where the kernel can't tell (before Linux 5.13), and what `Loading.load` raises."""
        kernel = loading.objects()
        self._symbols = kernel.maps["symbols"]
        kernel.maps["symbol_format"][number(0)] = _FORMAT
        kernel.maps["symbol_format"].freeze()
        self._program = loading.load(Part.LATER, RAW_TRACEPOINT, _PROGRAM)

    def of(self, addresses: Iterable[int]) -> Mapping[int, bytes]:
        """``function`` or ``function [module]`` of those addresses that have one. Raises OSError."""
        left = iter(addresses)
        names: dict[int, bytes] = {}
        while some := list(islice(left, _MOST)):
            told = zip(some, self._names(some), strict=False)
            names.update((address, name) for address, name in told if not name.startswith(_NO_NAME))
        return names

    def _names(self, addresses: Sequence[int]) -> list[bytes]:
        """The names of so many, and empty ones behind them."""
        asked = _ADDRESSES.pack(*addresses, *[0] * (_MOST - len(addresses)))
        self._symbols[number(0)] = asked + bytes(_MOST * _NAME.size)
        run_program(self._program)
        told = self._symbols[number(0)][_ADDRESSES.size :]
        return [name.partition(b"\0")[0] for (name,) in _NAME.iter_unpack(told)]
