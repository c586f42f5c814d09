"""How long something takes, as people write it: ``90``, ``90s``, ``5m``, ``1h30m``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    ParamType = click.ParamType[float]
else:  # it takes no type at run time before click 8.4
    ParamType = click.ParamType

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
"""From the largest to the smallest, which is their order in a duration."""
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_WITH_UNITS = re.compile("".join(f"(?:(?P<{unit}>{_NUMBER}){unit})?" for unit in _UNITS_S))
_MOST_CHARACTERS = 40


class Duration(ParamType):
    """Seconds as a float, more than 0, from a number of seconds or from numbers with units (d, h, m, s)."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Calls `fail`, which raises click's usage error, for what is no duration."""
        text = str(value)
        seconds = _seconds_in(text)
        if seconds is None or not 0 < seconds < math.inf:
            self.fail(
                f"{text[:_MOST_CHARACTERS]!r} is no duration above 0; write seconds (90, 0.5), or units: 90s,"
                " 5m, 1h30m",
                param,
                ctx,
            )
        return seconds


def _seconds_in(text: str) -> float | None:
    """None for what is no duration."""
    text = text.strip().lower()
    match = _WITH_UNITS.fullmatch(text)
    if match is not None and text:
        return sum(float(number) * _UNITS_S[unit] for unit, number in match.groupdict().items() if number)
    try:
        return float(text)
    except ValueError:
        return None


def duration_text(seconds: float) -> str:
    """``45 s``, ``1 m 30 s``, ``1 h``: as a duration is written, with blanks between."""
    if seconds < 60:
        return f"{seconds:g} s"
    left = round(seconds)
    parts = []
    for unit, size_s in _UNITS_S.items():
        count, left = divmod(left, int(size_s))
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts)
