"""The seams of symbolizing, with the lifetime of each implementation written on it.

    Language      per machine   knows one interpreter family; recognises its files
    RuntimeFile   per file      one executable or library that holds an interpreter (by build id)
    Interpreter   per process   where a running process keeps that interpreter (plain numbers)
    Symbolizer    per process   reads the objects behind captured addresses
    ThreadReader  per process   reads the names of its threads
    TaskReader    per process   reads what waits for its tasks

All of them run where targets are touched (the deadline worker); only the value types leave it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from symbolizers.errors import SymbolizeError
from symbolizers.frame import CodeObject, Frame, RawFrame

if TYPE_CHECKING:  # the main process needs the values here, not the ELF reader
    from symbolizers.elf.file import ElfFile


class AddressSpace(Protocol):
    """A target's memory. Lifetime: one process. Live, a fake heap and a recording are interchangeable."""

    def read(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes. Raises `ReadFault` and never waits."""

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        """Each ``(address, size)`` as `read` would give it, its `ReadFault` in place of bytes; batched."""


class Interpreter(Struct, frozen=True):
    """What the eBPF walker needs to know about one process's interpreter, and what people are told about it.

    `layout` names the row of the language's ``layouts.py`` that both the walker and the reader use; a build
    that describes itself overrides numbers of it.
    `root` is the address where the walk starts, a variable of the interpreter's. `loop` is the address range
    ``(start, end)`` of the interpreter's evaluation loop, ``(0, 0)`` where unknown: a native frame there *is*
    the interpreted frame. `cold_loop`: the loop's other part, where the compiler made two. `offsets`: the
    numbers of the row by name, of which the walker takes some. `note`: what people should know.
    """

    language: str
    version: str
    layout: str
    root: int
    loop: tuple[int, int] = (0, 0)
    cold_loop: tuple[int, int] = (0, 0)
    offsets: tuple[tuple[str, int], ...] = ()
    note: str = ""

    def moved(self, distance: int) -> Interpreter:
        """The same in a process that maps the file `distance` bytes further up.

        Addresses wrap around: a file may say that its interpreter is anywhere.
        """
        return replace(
            self,
            root=(self.root + distance) & _WORD,
            loop=_moved(self.loop, distance),
            cold_loop=_moved(self.cold_loop, distance),
        )


_WORD = (1 << 64) - 1


def _moved(code: tuple[int, int], distance: int) -> tuple[int, int]:
    return ((code[0] + distance) & _WORD, (code[1] + distance) & _WORD) if code[1] else code


class RuntimeFile(Protocol):
    """An interpreter inside one ELF file. Lifetime: the file (build id)."""

    @property
    def version(self) -> str:
        """The interpreter's version, as people write it: ``3.11.2``."""

    def attach(self, bias: int) -> Interpreter:
        """Where the interpreter lies in a process that maps the file at load bias `bias` (bytes)."""

    def symbolizer(self, interpreter: Interpreter, memory: AddressSpace, *, lines: bool) -> Symbolizer:
        """A reader for one process; with `lines`, `CodeObject`s carry their line tables."""

    def thread_reader(self, interpreter: Interpreter, memory: AddressSpace) -> ThreadReader | None:
        """A reader of the names of the process's threads; None where only the kernel knows any."""

    def task_reader(
        self, interpreter: Interpreter, memory: AddressSpace, symbolizer: Symbolizer
    ) -> TaskReader | None:
        """A reader of the process's tasks; None where tasks do not say who waits for them."""


class Symbolizer(Protocol):
    """Reads code objects of one process. Lifetime: the process's address space."""

    def read(self, frame: RawFrame) -> CodeObject:
        """The object that `frame` was captured from.

        Raises `ReadFault` (try again later), `Changed` (its checksum is another now) or `Malformed`.
        """


class ThreadReader(Protocol):
    """Reads what a language calls the threads of one process. Lifetime: the process's address space."""

    def names(self, wanted: Collection[int]) -> dict[int, str]:
        """The names of those of the `wanted` threads (by thread pointer) that have one.

        Raises `ReadFault` or `Malformed` where no names can be had.
        """


class TaskChain(Struct, frozen=True):
    """What waits for a task that runs: its callers, though not on the stack.

    `outermost` is the frame of the coroutine that the task was made of, somewhere on the stack. `frames` go
    before it, root first: for each task its name as a marker, and for each but the last its coroutines; each
    with the line that runs, 0 where that is not known.
    """

    outermost: Frame
    frames: tuple[tuple[Frame, int], ...]


class TaskReader(Protocol):
    """Reads the asynchronous tasks of one process. Lifetime: the process's address space."""

    def chain(self, task: int, identity: int) -> TaskChain:
        """What waits for the task at that address. Raises `ReadFault`, `Changed` or `Malformed`."""


class Language(Protocol):
    """One interpreter family. Lifetime: the machine."""

    name: str

    def recognise(self, elf: ElfFile) -> RuntimeFile | None:
        """The interpreter in `elf`, or None when it holds none.

        Raises `UnsupportedVersion` when it holds one that no layout row describes.
        """
