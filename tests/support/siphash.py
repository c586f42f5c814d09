"""SipHash-1-3 with 128 bits of output, as in the paper and its reference: what count.h must give."""

from __future__ import annotations

from collections.abc import Sequence

_WORD = (1 << 64) - 1


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _WORD


def siphash(
    key: tuple[int, int], words: Sequence[int], *, rounds: tuple[int, int] = (1, 3)
) -> tuple[int, int]:
    """The hash of the `words` of 64 bits, with so many `rounds` for each of them, and at the end."""
    v = [
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D ^ 0xEE,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    ]

    def half(a: int, b: int, bits: int, *, turns: bool) -> None:
        v[a] = (v[a] + v[b]) & _WORD
        v[b] = _rotated(v[b], bits) ^ v[a]
        if turns:
            v[a] = _rotated(v[a], 32)

    def mix(times: int) -> None:
        for _ in range(times):
            half(0, 1, 13, turns=True)
            half(2, 3, 16, turns=False)
            half(0, 3, 21, turns=False)
            half(2, 1, 17, turns=True)

    for word in (*words, len(words) * 8 << 56 & _WORD):
        v[3] ^= word
        mix(rounds[0])
        v[0] ^= word
    v[2] ^= 0xEE
    mix(rounds[1])
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    mix(rounds[1])
    return low, v[0] ^ v[1] ^ v[2] ^ v[3]
