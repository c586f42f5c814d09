"""Symbols as their source calls them, where a language's compiler is known to change names."""

from __future__ import annotations

from symbolizers.native.cython_names import cython_name
from symbolizers.native.unnamed import bounded

_MANGLED = ("_Z", "_R")
_SCHEMES = ("itanium", "rust")


def readable(symbol: str) -> str:
    """C++, Rust and Cython demangled, and cut at `MAX_NAME_CHARS`."""
    if symbol.startswith(_MANGLED):
        from demangle import demangle  # here: it takes 13 ms, and a machine may run neither C++ nor Rust

        return bounded(demangle(symbol, language=_SCHEMES))
    return bounded(cython_name(symbol) or symbol)
