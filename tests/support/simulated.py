"""Recordings that are drawn from one realistic program: random samples of a heavy-tailed distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from random import Random

from msgspec.structs import replace

from profiler.profile.model import Profile, Root, Sample
from symbolizers.frame import KERNEL, NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.support.export_samples import profile_of

STACKS = 2000
FUNCTIONS = 600
HOT = Frame(LANGUAGES[0].name, "hot", "app/hot.x", 7)
HOT_SHARE = 0.2

Stack = tuple[Frame, ...]


def program(seed: int = 1) -> Mapping[Stack, float]:
    """The share of each of `STACKS` stacks, and `HOT_SHARE` of them through `HOT`.

    Stacks share their callers as in a program, and the n-th takes about 1/n of the time.
    """
    random = Random(seed)
    functions = [_function(random, index) for index in range(FUNCTIONS)]
    known: list[Stack] = [(functions[0],)]
    while len(known) < STACKS:
        caller = known[int(len(known) * random.random() ** 2)]
        if len(caller) < 40:
            known.append((*caller, random.choice(functions)))
    known = sorted(dict.fromkeys(known), key=lambda _: random.random())
    weights = [1 / (rank + 3) for rank in range(len(known))]
    shares = {
        stack: (1 - HOT_SHARE) * weight / sum(weights) for stack, weight in zip(known, weights, strict=True)
    }
    for stack in random.sample(known, 5):
        shares[(*stack, HOT)] = HOT_SHARE / 5
    return shares


def _function(random: Random, index: int) -> Frame:
    kind = random.choice((*(language.name for language in LANGUAGES), NATIVE, KERNEL))
    return Frame(kind, f"function_{index}", f"lib_{index % 40}", index % 300)


def slower(shares: Mapping[Stack, float], share: float) -> dict[Stack, float]:
    """The shares when `HOT` takes so much of the total, and all else as long as before."""
    hot = sum(value for stack, value in shares.items() if HOT in stack)
    grown, rest = share / hot, (1 - share) / (1 - hot)
    return {stack: value * (grown if HOT in stack else rest) for stack, value in shares.items()}


def recorded(random: Random, shares: Mapping[Stack, float], samples: int, *, run: int = 1) -> Profile:
    """So many `samples` at random; each is `run` samples in a row, which show the same stack."""
    stacks = list(shares)
    drawn = random.choices(
        range(len(stacks)), cum_weights=list(accumulate(shares.values())), k=samples // run
    )
    root = Root(b"server", random.randrange(1, 1 << 22))
    counts = Counter(drawn)
    profile = profile_of(*(Sample(root, stacks[index], count * run) for index, count in counts.items()))
    return replace(profile, duration_s=samples / 2 / 99, frequency_hz=99)
