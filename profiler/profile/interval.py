"""How sure a share is that was found by sampling.

Wilson's score interval (E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
Journal of the American Statistical Association 22, 1927) holds for small counts and for shares near 0 and 1,
where the usual interval does not.
"""

from __future__ import annotations

from math import sqrt

CONFIDENCE = 0.95
_Z = 1.959963984540054
"""So far around its mean, a normal distribution has that share. To import `statistics` takes its time."""


def wilson(count: float, samples: float) -> tuple[float, float]:
    """The ends (0 to 1) of where the true share of what `count` of `samples` show lies, with `CONFIDENCE`."""
    if not samples:
        return 0.0, 1.0
    share, spread = count / samples, _Z**2 / samples
    centre = share + spread / 2
    half = sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return (max(low, 0.0) if count else 0.0), (min(high, 1.0) if count < samples else 1.0)
