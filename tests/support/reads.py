"""What address spaces for tests have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symbolizers.errors import SymbolizeError


def read_each(
    read: Callable[[int, int], bytes], ranges: Sequence[tuple[int, int]]
) -> list[bytes | SymbolizeError]:
    """`AddressSpace.read_many` by a `read` for each range, with its error in place of bytes."""
    results: list[bytes | SymbolizeError] = []
    for address, size in ranges:
        try:
            results.append(read(address, size))
        except SymbolizeError as error:
            results.append(error)
    return results
