"""Names of native addresses: symbols of a mapped file, demangled, or else where in the file they are."""

from __future__ import annotations

import ctypes
from functools import partial

import demangle

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import NATIVE, Frame
from symbolizers.native.unnamed import VDSO_PATH, bounded, unnamed

_MANGLED = ("_Z", "_R")
_demangled = partial(demangle.demangle, language=("itanium", "rust"))


class NativeSymbols:
    """Names for the addresses of one file. Lifetime: the open file, from which it reads each name."""

    def __init__(self, elf: ElfFile, module: str) -> None:
        """`module`: the file's name in frames, see `module_name`."""
        self._functions = elf.functions()
        self._module = module
        self._named: dict[int, Frame] = {}

    def name(self, address: int) -> Frame:
        """The function around `address`, a virtual address as the file was linked (see `ElfFile.bias`).

        ``symbol`` of the module, or else ``[module+0xaddress]`` with the start of the function where
        unwind information knows it, so that one function is one frame; without that the address itself.
        Raises `Malformed` where the file can't be read any more.
        """
        found = self._functions.find(address)
        if found is None:
            start = self._functions.start_of(address)
            return unnamed(self._module, address if start is None else start)
        symbol, start = found
        if start not in self._named:
            self._named[start] = Frame(NATIVE, _readable(symbol), self._module)
        return self._named[start]


def vdso_symbols() -> NativeSymbols | None:
    """Names for the kernel's ``[vdso]``, from our own copy: every 64-bit process has the same one.

    Addresses in it are offsets from the start of the mapping. None on a kernel without a vDSO.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="backslashreplace") as maps:
        line = next((line for line in maps if line.rstrip().endswith(VDSO_PATH)), None)
    if line is None:
        return None
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    try:
        return NativeSymbols(ElfFile.from_bytes(ctypes.string_at(start, end - start)), VDSO_PATH)
    except Malformed:
        return None


def _readable(symbol: str) -> str:
    return bounded(_demangled(symbol) if symbol.startswith(_MANGLED) else symbol)
