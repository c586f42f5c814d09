"""Ruby (CRuby): recognises the interpreter in an ELF file, and which layout row describes it."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from symbolizers.base import AddressSpace, Interpreter, Symbolizer
from symbolizers.elf.file import ElfFile
from symbolizers.errors import UnsupportedVersion
from symbolizers.layout import Row, displacement
from symbolizers.ruby.iseqs import RubySymbolizer
from symbolizers.ruby.kinds import NAME
from symbolizers.ruby.layouts import LAYOUTS
from symbolizers.ruby.machine_code import GcFlag, find_gc, find_global_symbols, find_loop, find_vm
from symbolizers.ruby.objects import RubyObjects

_MAX_VERSION_BYTES: Final = 16
_VERSION: Final = re.compile(rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\0")


class RubyLanguage:
    """Recognises Ruby (CRuby): libruby, a static executable, or a program that embeds it."""

    name = NAME

    def recognise(self, elf: ElfFile) -> RubyFile | None:
        """The Ruby in `elf`, or None. Raises `UnsupportedVersion`, or `Malformed` for a broken file."""
        symbol = elf.symbol("ruby_version")
        if symbol is None:
            return None
        match = _VERSION.match(elf.read(symbol.address, min(symbol.size, _MAX_VERSION_BYTES)))
        if match is None:
            return None  # a program with a variable of that name
        version = ".".join(group.decode() for group in match.groups())
        row = LAYOUTS.find(tuple(map(int, match.groups())))
        root = find_vm(elf)
        if row is None or not root:
            raise UnsupportedVersion("Ruby", version, LAYOUTS.supported)
        return RubyFile(
            version=version,
            row=row,
            root=root,
            loop=find_loop(elf),
            global_symbols=find_global_symbols(elf, row),
            gc=find_gc(elf),
        )


class RubyFile(Struct, frozen=True):
    """Ruby in one ELF file; all addresses are the file's own, before a load bias, and 0 where unknown."""

    version: str
    row: Row
    root: int
    loop: tuple[int, int]
    global_symbols: int
    gc: GcFlag | None

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""
        offsets = dict(self.row.numbers())
        offsets["global_symbols"] = displacement(self.global_symbols, self.root)
        if self.gc is not None:
            offsets |= {
                "vm_objspace": self.gc.objspace,
                "objspace_flags": self.gc.flags,
                "objspace_gc_bit": self.gc.bit,
            }
        return Interpreter(
            language=RubyLanguage.name,
            version=self.version,
            layout=self.row.name,
            offsets=tuple(offsets.items()),
            note=self.note(),
            root=self.root,
            loop=self.loop,
        ).moved(bias)

    def note(self) -> str:
        """What people should know about this version, or nothing."""
        if self.row.capabilities.get("tested") != "no":
            return ""
        return f"Ruby {self.version} is read by published structures, but was never tested: please report"

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> RubySymbolizer:
        """A reader of the iseqs and method entries of one process, with line tables if `lines`."""
        bias = interpreter.root - self.root
        symbols = self.global_symbols + bias if self.global_symbols else 0
        return RubySymbolizer(self.row, memory, RubyObjects(self.row, memory, symbols), lines=lines)

    def thread_reader(self, interpreter: Interpreter, memory: AddressSpace) -> None:
        """None: Ruby tells the kernel the names of its threads."""

    def task_reader(self, interpreter: Interpreter, memory: AddressSpace, symbolizer: Symbolizer) -> None:
        """None: Ruby has no tasks that say who waits for them."""
