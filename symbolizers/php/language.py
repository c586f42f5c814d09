"""PHP: recognises the interpreter in an ELF file, and which layout row describes it."""

from __future__ import annotations

from msgspec import Struct

from symbolizers.base import AddressSpace, Interpreter, Symbolizer
from symbolizers.elf.file import ElfFile
from symbolizers.elf.machine_code import find_cold_part
from symbolizers.errors import UnsupportedVersion
from symbolizers.layout import Row, displacement
from symbolizers.php.functions import PhpSymbolizer
from symbolizers.php.kinds import NAME
from symbolizers.php.layouts import LAYOUTS
from symbolizers.php.machine_code import Code, find_code, find_loop, find_version

"""An address relative to another is a signed 32-bit number, which the walker gets as an unsigned one."""


class PhpLanguage:
    """Recognises PHP: its command line and server programs, libphp, and Apache's module."""

    name = NAME

    def recognise(self, elf: ElfFile) -> PhpFile | None:
        """The PHP in `elf`, or None. Raises `UnsupportedVersion`, or `Malformed` for a broken file."""
        loop = elf.symbol("execute_ex")
        if loop is None or elf.symbol("zend_execute_internal") is None:
            return None
        numbers = find_version(elf)
        version = ".".join(map(str, numbers)) or "of an unknown version"
        globals_ = elf.symbol("executor_globals")
        generators = elf.symbol("zend_ce_generator")
        if globals_ is None or generators is None:  # each thread has globals of its own
            raise UnsupportedVersion("PHP", f"{version} (thread-safe)", LAYOUTS.supported)
        row = LAYOUTS.find(numbers)
        if row is None:
            raise UnsupportedVersion("PHP", version, LAYOUTS.supported)
        frameless = elf.symbol("zend_flf_functions")
        return PhpFile(
            version=version,
            row=row,
            root=globals_.address,
            generator_class=generators.address,
            frameless_functions=frameless.address if frameless is not None else 0,
            code=find_code(elf),
            loop=find_loop(elf),
            cold_loop=find_cold_part(elf, loop.address, loop.address + loop.size),
        )


class PhpFile(Struct, frozen=True):
    """PHP in one ELF file; all addresses are the file's own, before a load bias, and 0 where unknown.

    `root` is that of ``executor_globals``; `generator_class` and `frameless_functions` are the addresses of
    pointers to these.
    """

    version: str
    row: Row
    root: int
    generator_class: int
    frameless_functions: int
    code: Code
    loop: tuple[int, int]
    cold_loop: tuple[int, int]

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""
        offsets = dict(self.row.numbers()) | {
            "generator_class": displacement(self.generator_class, self.root),
            "frameless_functions": displacement(self.frameless_functions, self.root),
            "code_start": displacement(self.code.start, self.root),
            "code_bytes": self.code.size,
        }
        return Interpreter(
            language=NAME,
            version=self.version,
            layout=self.row.name,
            offsets=tuple(offsets.items()),
            root=self.root,
            loop=self.loop,
            cold_loop=self.cold_loop,
        ).moved(bias)

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> PhpSymbolizer:
        """A reader of the functions of one process, with line tables if `lines`."""
        return PhpSymbolizer(self.row, memory, lines=lines)

    def thread_reader(self, interpreter: Interpreter, memory: AddressSpace) -> None:
        """None: PHP has one thread, which has no name of its own."""

    def task_reader(self, interpreter: Interpreter, memory: AddressSpace, symbolizer: Symbolizer) -> None:
        """None: PHP has no tasks that say who waits for them."""
