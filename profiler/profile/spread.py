"""How many times more samples vary from recording to recording than independent draws do. Pure.

Apart from `proportions`, which every recording imports: `statistics` takes its time to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log, sqrt
from statistics import NormalDist, median

LEAST_FOR_SPREAD = 20
"""So many functions, of so many samples each, it takes to say how far recordings are spread."""

_MEDIAN_DEVIATION = NormalDist().inv_cdf(0.75)


def spread(pairs: Sequence[tuple[int, int]]) -> float:
    """How many times more the counts of `pairs` vary, around their common ratio, than independent draws do.

    1 at least, and 1 if there are too few to tell. The median decides, so that it does not matter what a
    minority of the pairs does. B. Devlin and K. Roeder, "Genomic control for association studies",
    Biometrics 55, 1999, 997-1004, do so where most tests have nothing to find.
    """
    used = [pair for pair in pairs if min(pair) > 0 and sum(pair) >= LEAST_FOR_SPREAD]
    if len(used) < LEAST_FOR_SPREAD:
        return 1.0
    ratio = exp(median(log(after / before) for before, after in used))
    # The variance of after - ratio * before, for counts of a mean that is estimated from both.
    deviations = (abs(after - ratio * before) / sqrt(ratio * (before + after)) for before, after in used)
    return max(1.0, (median(deviations) / _MEDIAN_DEVIATION) ** 2)


def dispersion(groups: Iterable[Sequence[tuple[int, int]]]) -> float:
    """How many times more shares, given as (part, whole), vary within their groups than independent draws do.

    0 where no group has two shares. It is Pearson's chi-squared by its degrees of freedom: P. McCullagh and
    J. A. Nelder, "Generalized Linear Models", 1989.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        known = [(part, whole) for part, whole in group if whole]
        share = sum(part for part, _ in known) / (sum(whole for _, whole in known) or 1)
        freedom += max(len(known) - 1, 0)
        if 0 < share < 1:
            squares += sum(
                (part - whole * share) ** 2 / (whole * share * (1 - share)) for part, whole in known
            )
    return squares / freedom if freedom else 0.0
