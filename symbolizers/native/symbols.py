"""Names of native addresses: symbols of a mapped file, demangled, or else where in the file they are."""

from __future__ import annotations

import ctypes
from contextlib import suppress

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import NATIVE, Frame, Function
from symbolizers.native.inlines import Inlines
from symbolizers.native.readable import readable
from symbolizers.native.unnamed import VDSO_PATH, unnamed


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
        self._with_dwarf = [elf, *([debug] if debug is not None else [])]
        """Files that may have DWARF and were not looked at for that."""
        self._inlines: Inlines | None = None

    def find(self, address: int) -> Function:
        """The function around `address`, a virtual address as the file was linked.

        Its frame is ``symbol`` of the module, or else ``[module+0xaddress]`` with the start of the function
        where unwind information knows it, so that one function is one frame. Where nothing tells where it
        starts, that is `address` itself. Raises `Malformed` where the file can't be read any more.
        """
        found = self._functions.find(address)
        if found is None:
            start = self._functions.start_of(address)
            start = address if start is None else start
            return Function(unnamed(self._module, start), start, self._functions.end_at(address))
        symbol, start = found
        if start not in self._named:
            self._named[start] = Frame(NATIVE, readable(symbol), self._module)
        return Function(self._named[start], start, self._functions.end_at(address))

    def find_inlined(self, address: int) -> tuple[Function, tuple[Frame, ...]]:
        """As `find`, and the functions that were inlined there, the outermost first.

        Where DWARF tells the source line, frames have that line and its file. Raises `Malformed`.
        """
        function = self.find(address)
        frame = function.frame
        inlines = self._read_inlines()
        place = inlines.find(address, function.start) if inlines is not None and frame.file else None
        if place is None:
            return function, ()
        if place.file and place.line:
            function = function._replace(frame=frame._replace(file=place.file, line=place.line))
        return function, place.inlined

    def _read_inlines(self) -> Inlines | None:
        while self._inlines is None and self._with_dwarf:
            with suppress(Malformed):
                self._inlines = Inlines(self._with_dwarf.pop(0))
        return self._inlines


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
