"""Names of native addresses: symbols of a mapped file, demangled, or else where in the file they are."""

from __future__ import annotations

import ctypes
from functools import partial

import demangle

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import NATIVE, Frame
from symbolizers.native.cython_names import cython_name
from symbolizers.native.unnamed import VDSO_PATH, bounded, unnamed

_MANGLED = ("_Z", "_R")
_demangled = partial(demangle.demangle, language=("itanium", "rust"))


class NativeSymbols:
    """Names for the addresses of one file, and its `build_id` (b'' where it has none).

    Lifetime: the open file, from which it reads each name.
    """

    def __init__(self, elf: ElfFile, module: str, debug: ElfFile | None = None) -> None:
        """`module`: the file's name in frames, see `module_name`; `debug`: the file with its symbols."""
        self._functions = elf.functions(debug)
        self.build_id = elf.build_id
        self._module = module
        self._named: dict[int, Frame] = {}

    def find(self, address: int) -> tuple[Frame, int]:
        """The function around `address`, a virtual address as the file was linked, and where it starts.

        Its frame is ``symbol`` of the module, or else ``[module+0xaddress]`` with the start of the function
        where unwind information knows it, so that one function is one frame. Where nothing tells where it
        starts, that is `address` itself. Raises `Malformed` where the file can't be read any more.
        """
        found = self._functions.find(address)
        if found is None:
            start = self._functions.start_of(address)
            start = address if start is None else start
            return unnamed(self._module, start), start
        symbol, start = found
        if start not in self._named:
            self._named[start] = Frame(NATIVE, _readable(symbol), self._module)
        return self._named[start], start


def vdso() -> ElfFile:
    """The kernel's ``[vdso]``, from our own copy: every 64-bit process has the same one.

    Addresses in it are offsets from the start of the mapping. Raises `Malformed` on a kernel without a vDSO.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="backslashreplace") as maps:
        line = next((line for line in maps if line.rstrip().endswith(VDSO_PATH)), None)
    if line is None:
        raise Malformed("this kernel has no vDSO")
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    return ElfFile.from_bytes(ctypes.string_at(start, end - start))


def _readable(symbol: str) -> str:
    """As its source calls it, where its language's compiler is known to change names."""
    if symbol.startswith(_MANGLED):
        return bounded(_demangled(symbol))
    return bounded(cython_name(symbol) or symbol)
