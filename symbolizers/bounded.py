"""A bounded memory: the oldest entry makes room for a new one. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, *, most: int) -> None:
    """Puts a value in; of more than `most`, the one that came first goes."""
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
