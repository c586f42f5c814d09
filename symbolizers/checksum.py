"""The checksum that ties a captured address to the object that was there.

The eBPF walker computes it at the interrupt (``checksum_words`` in profiler/bpf/maps.h) and a symbolizer
again when it reads the object: a freed and reused address shows as another number.
"""

from __future__ import annotations

from collections.abc import Iterable

MULTIPLIER = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def checksum(words: Iterable[int]) -> int:
    """A 32-bit mix of 64-bit `words`, equal to what the kernel side computes.

    Words of 0 at the end make no difference: the kernel side always mixes a window of fixed size.
    """
    mixed = 0
    factor = 1
    for word in words:
        factor = (factor * MULTIPLIER) & _MASK
        mixed += word * factor
    mixed &= _MASK
    mixed ^= mixed >> 29
    return ((mixed * MULTIPLIER) & _MASK) >> 32
