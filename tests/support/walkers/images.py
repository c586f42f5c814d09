"""Images for the harness: of fake heaps, and of real processes that are stopped for it."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from symbolizers.base import AddressSpace, Interpreter, RuntimeFile
from symbolizers.elf.file import ElfFile
from symbolizers.errors import ReadFault
from symbolizers.process.identity import ProcessHandle
from symbolizers.process.maps import read_mappings
from symbolizers.registry import languages
from tests.support.process.readers import open_mapping
from tests.support.walkers.harness import PAGE_BYTES, REGISTERS, Harness, Image, Walk, Walker

_PTRACE_GETREGS, _PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 12, 17, 0x4206, 0x4207
_WAIT_FOR_ANY_THREAD = 0x4000_0000
"""__WALL of wait(2)."""
_USER_REGISTERS = struct.Struct("<27Q")
"""``struct user_regs_struct``: first the words of ``struct pt_regs``."""
_FS_BASE = 21


def pages_of(start: int, content: bytes | bytearray) -> dict[int, bytes]:
    """The pages that hold `content` at the address `start`, zeros elsewhere."""
    first = start & ~(PAGE_BYTES - 1)
    whole = bytes(start - first) + bytes(content)
    whole += bytes(-len(whole) % PAGE_BYTES)
    return {first + at: whole[at : at + PAGE_BYTES] for at in range(0, len(whole), PAGE_BYTES)}


def find_interpreter(handle: ProcessHandle) -> tuple[RuntimeFile, Interpreter]:
    """The first interpreter, of any language, among the files that a process maps executable."""
    for mapping in read_mappings(handle, executable_only=True):
        if not mapping.inode:
            continue
        descriptor = open_mapping(handle, mapping)
        try:
            elf = ElfFile.from_fd(descriptor)
            for language in languages():
                file = language.recognise(elf)
                if file is not None:
                    return file, file.attach(elf.bias(mapping.start, mapping.offset))
        finally:
            os.close(descriptor)
    raise AssertionError("no interpreter found")


def walker_of(interpreter: Interpreter) -> Walker:
    """What the session would configure for it."""
    return Walker.of(interpreter.language, interpreter.root, dict(interpreter.offsets))


@contextmanager
def stopped(tid: int) -> Iterator[tuple[int, ...]]:
    """A thread of a child of ours, stopped until the end of the block: the words of its user_regs_struct.

    Needs no root. Raises OSError where the kernel does not let us.
    """
    _ptrace(_PTRACE_SEIZE, tid)
    try:
        _ptrace(_PTRACE_INTERRUPT, tid)
        os.waitpid(tid, _WAIT_FOR_ANY_THREAD)
        registers = ctypes.create_string_buffer(_USER_REGISTERS.size)
        _ptrace(_PTRACE_GETREGS, tid, registers)
        yield _USER_REGISTERS.unpack(registers.raw)
    finally:
        _ptrace(_PTRACE_DETACH, tid)


def _ptrace(request: int, tid: int, data: ctypes.Array[ctypes.c_char] | None = None) -> None:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if call(request, tid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace request {request:#x}: {os.strerror(ctypes.get_errno())}")


def snapshot(
    harness: Harness, memory: AddressSpace, interpreter: Interpreter, tid: int
) -> tuple[Image, Walk]:
    """The pages that a walk over a thread of a child of ours needs with all names, and one without them."""
    with stopped(tid) as registers:
        place = (walker_of(interpreter),), registers[_FS_BASE], registers[:REGISTERS]
        image, _ = with_pages(
            memory,
            lambda pages: Image(pages, *place),
            lambda image: harness.walk(image, traced=True, named=True),
        )
        return image, harness.walk(image, traced=True)


def with_pages(
    memory: AddressSpace, image_of: Callable[[dict[int, bytes]], Image], walk: Callable[[Image], Walk]
) -> tuple[Image, Walk]:
    """An image with all pages that a traced `walk` over it reads, as far as they are resident, and that walk.

    It is walked again and again; after each time, the resident pages that it missed are put into the image.
    """
    pages: dict[int, bytes] = {}
    absent: set[int] = set()
    while True:
        image = image_of(dict(pages))
        walked = walk(image)
        missed = {page for read in walked.trace if read.fault for page in _touched(read.address, read.size)}
        missed -= pages.keys() | absent
        if not missed:
            return image, walked
        for page in missed:
            with suppress(ReadFault):
                pages[page] = memory.read(page, PAGE_BYTES)
        absent |= missed - pages.keys()


def _touched(address: int, size: int) -> range:
    return range(address & ~(PAGE_BYTES - 1), address + size, PAGE_BYTES)
