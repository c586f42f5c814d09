"""Names of kernel addresses, from one pass over /proc/kallsyms.

A line is ``address type name`` and, for modules and BPF programs, a tab and ``[module]``; the address is
16 hexadecimal digits, so that lines compare like their addresses do (Linux, kernel/kallsyms.c). What BPF
programs have there, ``[bpf]``, is no module, and neither is ``[__builtin__ftrace]``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from symbolizers.frame import KERNEL, Frame

KALLSYMS = "/proc/kallsyms"
UNKNOWN = Frame(KERNEL, "[unknown]")

_BLOCK_BYTES = 1 << 16
_DIGITS = 16
_HIDDEN = b"0" * _DIGITS
_TEXT_TYPES = b"tTwW"
_AFTER_ANY_SYMBOL = b"~"
_NO_MODULES = (b"[bpf]", b"[__builtin")
_MAX_FUNCTION_BYTES = 1 << 20
"""Symbols have no sizes here: an address farther from the nearest one is in memory without symbols."""


def kernel_frame(told: bytes) -> Frame:
    """Of what the kernel writes for an address: its function and, in brackets, the module."""
    function, _, module = told.partition(b" ")
    name = b" ".join((function, module)) if module and not module.startswith(_NO_MODULES) else function
    return Frame(KERNEL, name.decode(errors="backslashreplace"))


class _Symbol(NamedTuple):
    """Orders by address first, then by which of several names of one address people expect."""

    address: bytes
    is_exported: bool
    underscores: int
    """Minus the number of leading ones: the name with fewer of them is the greater one."""
    name: bytes
    module: bytes
    """In brackets; empty for the kernel's own."""


class KernelSymbols:
    """The symbols of the running kernel. Lifetime: the machine, but read late: modules come and go."""

    def __init__(self, path: str = KALLSYMS) -> None:
        self._path = path
        self.hidden = False
        """After `resolve`: the kernel gave no addresses (kernel.kptr_restrict, or not enough privilege)."""

    def resolve(self, addresses: Iterable[int]) -> dict[int, Frame]:
        """A frame for each of `addresses`: ``symbol`` or ``symbol [module]``; ``[unknown]`` far from all.

        Reads the whole list once, in blocks, and keeps nothing but the names asked for: call it once, at
        the end of a run, with all addresses of the run.
        """
        wanted = sorted(set(addresses))
        if not wanted:
            return {}
        keys = [b"%016x" % address for address in wanted]
        nearest: list[_Symbol | None] = [None] * len(wanted)
        self.hidden = True
        for lines in self._blocks():
            self.hidden = self.hidden and lines[-1].startswith(_HIDDEN)
            _match_block(lines, keys, nearest)
        return dict(zip(wanted, self._frames(wanted, nearest), strict=True))

    def _blocks(self) -> Iterator[list[bytes]]:
        """The lines of the file, some hundred at a time, each block sorted; none when it is unreadable."""
        try:
            with open(self._path, "rb") as stream:
                rest = b""
                while block := stream.read(_BLOCK_BYTES):
                    *lines, rest = (rest + block).split(b"\n")
                    if lines:
                        lines.sort()  # cheap: all but the modules' lines are in order already
                        yield lines
        except OSError:
            return

    def _frames(self, wanted: list[int], nearest: list[_Symbol | None]) -> Iterator[Frame]:
        best: _Symbol | None = None
        for address, symbol in zip(wanted, nearest, strict=True):
            # The symbol nearest to a lower address may be this one's, too: see _match_block.
            best = max((s for s in (best, symbol) if s is not None), default=None)
            if best is None or self.hidden or address - int(best.address, 16) > _MAX_FUNCTION_BYTES:
                yield UNKNOWN
            else:
                name = b" ".join(filter(None, (best.name, best.module)))
                yield Frame(KERNEL, name.decode(errors="backslashreplace"))


def _match_block(lines: list[bytes], keys: list[bytes], nearest: list[_Symbol | None]) -> None:
    """Improves `nearest` for the keys inside the block and the first one after it.

    For later keys the last symbol of the block is the same as for that one; `_frames` carries it on.
    """
    first = bisect_left(keys, lines[0][:_DIGITS])
    last = bisect_left(keys, lines[-1][:_DIGITS])
    for index in range(first, min(last + 1, len(keys))):
        symbol = _last_function(lines, bisect_right(lines, keys[index] + _AFTER_ANY_SYMBOL))
        known = nearest[index]
        if symbol is not None and (known is None or symbol > known):
            nearest[index] = symbol


def _last_function(lines: list[bytes], end: int) -> _Symbol | None:
    """The best name of the last function in ``lines[:end]``, or None."""
    found: _Symbol | None = None
    for index in range(end - 1, -1, -1):
        fields = lines[index].split(None, 3)
        if found is not None and fields[0] != found.address:
            break
        if fields[1] in _TEXT_TYPES:
            symbol = _symbol(fields)
            found = symbol if found is None else max(found, symbol)
    return found


def _symbol(fields: list[bytes]) -> _Symbol:
    address, kind, name, *rest = fields
    module = rest[0].strip() if rest and not rest[0].startswith(_NO_MODULES) else b""
    return _Symbol(address, kind != b"t", len(name.lstrip(b"_")) - len(name), name, module)
