"""Names of native addresses: symbols of a mapped file, demangled, or the best that can be said without."""

from __future__ import annotations

import ctypes
import os
from functools import partial

import demangle

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import Frame, FrameKind

MAX_NAME_CHARS = 1024
ANONYMOUS = "[anon]"
"""Executable memory without a file or a name: generated code whose generator says nothing about it."""

_DELETED = " (deleted)"
_MEMFD = "/memfd:"
_VDSO = "[vdso]"
_MANGLED = ("_Z", "_R")
_demangled = partial(demangle.demangle, language=("itanium", "rust"))


class NativeSymbols:
    """Names for the addresses of one file. Lifetime: the file (build id).

    Needs neither the file nor its `ElfFile` once it is made.
    """

    def __init__(self, elf: ElfFile, module: str) -> None:
        """`module`: what frames call the file, see `module_name`."""
        self._functions = elf.functions()
        self._module = module
        self._named: dict[int, Frame] = {}

    def name(self, address: int) -> Frame:
        """The function around `address`, a virtual address as the file was linked (see `ElfFile.bias`).

        ``symbol`` of the module, or else ``[module+0xaddress]`` with the start of the function where
        unwind information knows it, so that one function is one frame; without that the address itself.
        """
        found = self._functions.find(address)
        if found is None:
            start = self._functions.start_of(address)
            return _unnamed(self._module, address if start is None else start)
        symbol, start = found
        if start not in self._named:
            self._named[start] = Frame(FrameKind.NATIVE, _readable(symbol), self._module)
        return self._named[start]


def module_name(path: str) -> str:
    """The base name of a mapped file as /proc/PID/maps calls it, without the mark of a deleted one."""
    return os.path.basename(path.removesuffix(_DELETED))


def mapping_frame(path: str, offset: int) -> Frame:
    """The frame of an address in a mapping behind which no ELF file could be read.

    `path` and the file `offset` of the address as in /proc/PID/maps. A file, or the kernel's ``[vdso]``,
    gives ``[module+0xoffset]``. In anonymous memory (``[anon]``, ``[heap]``, ``[anon:NAME]``,
    ``[memfd:NAME]``) nothing tells where a function starts and an offset would mean nothing in the next
    run, so that all code there is one frame.
    """
    if path == _VDSO:
        return _unnamed(_VDSO, offset)
    if path.startswith(_MEMFD):
        return Frame(FrameKind.NATIVE, _bounded(f"[{module_name(path)}]"))
    if path.startswith("/"):
        return _unnamed(module_name(path), offset)
    return Frame(FrameKind.NATIVE, _bounded(path) or ANONYMOUS)


def vdso_symbols() -> NativeSymbols | None:
    """Names for the kernel's ``[vdso]``, from our own copy: every 64-bit process has the same one.

    Addresses in it are offsets from the start of the mapping. None on a kernel without a vDSO.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="backslashreplace") as maps:
        line = next((line for line in maps if line.rstrip().endswith(_VDSO)), None)
    if line is None:
        return None
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    try:
        return NativeSymbols(ElfFile.from_bytes(ctypes.string_at(start, end - start)), _VDSO)
    except Malformed:
        return None


def _unnamed(module: str, offset: int) -> Frame:
    bare = module.removeprefix("[").removesuffix("]")
    return Frame(FrameKind.NATIVE, f"[{_bounded(bare)}+{offset:#x}]")


def _readable(symbol: str) -> str:
    return _bounded(_demangled(symbol) if symbol.startswith(_MANGLED) else symbol)


def _bounded(name: str) -> str:
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
