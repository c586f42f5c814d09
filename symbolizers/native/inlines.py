"""Functions that a compiler has put into others, and source lines, from DWARF by the library symbolic.

The library is Sentry's, a parser of DWARF in Rust. It may be missing: it has 75 MB, and few need it. What it
parses is somebody else's file, so only the worker calls it. Its own name for a function is not used: at the
entry of a function that was split it may be that of another one (``ast2obj_expr.cold`` for CPython's
evaluation loop), where the symbol table is right.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, NamedTuple

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import INLINED, Frame
from symbolizers.native.readable import readable
from symbolizers.native.unnamed import bounded

LIBRARY = "symbolic"
MOST_INLINED = 32
"""Functions in one address that are shown: the outermost ones."""
_MOST_LINE = 1 << 31


class Place(NamedTuple):
    """Where in the source an address is: in the function that has a symbol, and in those inlined there."""

    file: str
    line: int
    inlined: tuple[Frame, ...]
    """The outermost first. The last one has the line that runs, the others the line of the call in them."""


def is_installed() -> bool:
    """Whether the library is there; this does not import it."""
    return importlib.util.find_spec(LIBRARY) is not None


def load() -> None:
    """Imports the library, which the sandbox no longer allows. Raises ImportError."""
    importlib.import_module(LIBRARY)


class Inlines:
    """What the DWARF of one file says about addresses. Lifetime: as long as its symbols are kept.

    It takes about twice the size of the file, in memory.
    """

    def __init__(self, elf: ElfFile) -> None:
        """Raises `Malformed` where the file has no DWARF, or where that can't be parsed."""
        if not elf.has_dwarf():
            raise Malformed("no DWARF")
        symbolic: Any = importlib.import_module(LIBRARY)
        self._base = elf.segments[0].address if elf.segments else 0
        content = elf.contents()  # the archive refers to it, and does not keep it
        try:
            archive = symbolic.Archive.from_bytes(content)
            self._cache = next(archive.iter_objects()).make_symcache()
        except (symbolic.SymbolicError, StopIteration) as error:
            raise Malformed(f"its DWARF can't be read: {error}") from None

    def find(self, address: int, start: int) -> Place | None:
        """What is at `address` of the function that starts at `start`, both as the file was linked."""
        if not 0 <= self._base <= address:
            return None
        found = self._cache.lookup(address - self._base)[-1 - MOST_INLINED :]
        if not found or found[-1].sym_addr + self._base != start:
            return None
        *inlined, function = found
        frames = (
            Frame(INLINED, readable(each.symbol or ""), _file(each), _line(each))
            for each in reversed(inlined)
        )
        return Place(_file(function), _line(function), tuple(frames))


def _file(location: Any) -> str:
    return bounded(location.full_path or "")


def _line(location: Any) -> int:
    return int(location.line) if 0 < location.line < _MOST_LINE else 0
