"""Symbols as their source calls them, where a language's compiler is known to change names."""

from __future__ import annotations

from functools import partial

import demangle

from symbolizers.native.cython_names import cython_name
from symbolizers.native.unnamed import bounded

_MANGLED = ("_Z", "_R")
_demangled = partial(demangle.demangle, language=("itanium", "rust"))


def readable(symbol: str) -> str:
    """C++, Rust and Cython demangled, and cut at `MAX_NAME_CHARS`."""
    if symbol.startswith(_MANGLED):
        return bounded(_demangled(symbol))
    return bounded(cython_name(symbol) or symbol)
