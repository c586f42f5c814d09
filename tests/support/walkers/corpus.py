"""The images that every language's walker is tried on: forged ones, and memory that makes no sense.

A language has forged ones where a module ``forged_X`` beside this one has a function ``images``.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from symbolizers.layout import Row
from tests.support.walkers.harness import Image, Walker, registers_on, word_at
from tests.support.walkers.images import pages_of

SOUP = 0x2000_0000_0000
SOUP_WORDS = 2048
THREAD = 0x7F00_0000_0700
EXTREMES = (
    *(0, 1, 7, 8, 4095, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 47, (1 << 47) - 8, (1 << 56) - 8, 1 << 63),
    *(0xFFFF_8880_0000_0000, (1 << 64) - 4096, (1 << 64) - 8, (1 << 64) - 1),
)
"""Words to trip over: small numbers, the ends of address ranges, a kernel address."""


def rows_of(language: str) -> tuple[Row, ...]:
    """The layout rows of a language."""
    return tuple(import_module(f"symbolizers.{language}.layouts").LAYOUTS)


def forged(language: str) -> list[Image]:
    """What the language lays out from its rows; nothing for one that does not."""
    name = f"{__package__}.forged_{language}"
    return list(import_module(name).images()) if find_spec(name) else []


def soup(language: str, offsets: Mapping[str, int], seed: int) -> Image:
    """Words of which most lead to others of them, on the stack, too; the layout has `offsets` by name."""
    chance = random.Random(seed)
    inside = [SOUP + 8 * chance.randrange(SOUP_WORDS) for _ in range(64)]
    pool = [*inside, *inside, *[THREAD] * 16, *EXTREMES]
    content = struct.pack(f"<{SOUP_WORDS}Q", *chance.choices(pool, k=SOUP_WORDS))
    walker = Walker.of(language, chance.choice(inside), offsets)
    return Image(pages_of(SOUP, content), (walker,), THREAD, registers_on(SOUP))


def lies(image: Image, words: Sequence[int], seed: int) -> dict[int, int]:
    """Some of the image's `words` replaced: by extremes, by addresses of others, or by what others hold."""
    chance = random.Random(seed)
    chosen = chance.sample(words, min(len(words), chance.randint(1, 6)))
    other = chance.choice(words)
    pool = [*EXTREMES, other, other, word_at(image, other), chance.getrandbits(64), image.thread_pointer]
    return {address: chance.choice([*pool, address]) for address in chosen}
