"""Finds the CPython in a process and walks its frames in user space, as the kernel side does."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import Row
from symbolizers.process.identity import ProcessHandle
from symbolizers.process.maps import read_mappings
from symbolizers.python.kinds import PYTHON_CODE
from symbolizers.python.language import PythonFile, PythonLanguage
from tests.support.process.readers import open_mapping

_REFERENCE_TAGS = 7


def find_python(handle: ProcessHandle) -> tuple[PythonFile, Interpreter]:
    """The first CPython among the files that a process maps executable."""
    for mapping in read_mappings(handle, executable_only=True):
        if not mapping.inode:
            continue
        descriptor = open_mapping(handle, mapping)
        try:
            elf = ElfFile.from_fd(descriptor)
            file = PythonLanguage().recognise(elf)
            if file is not None:
                return file, file.attach(elf.bias(mapping.start, mapping.offset))
        finally:
            os.close(descriptor)
    raise AssertionError("no interpreter found")


def word(memory: AddressSpace, address: int) -> int:
    return int.from_bytes(memory.read(address, 8), "little")


def raw_frame(row: Row, memory: AddressSpace, code: int, position: int = 0) -> RawFrame:
    """What the walker captures of a frame that is at `position` of the code object at `code`."""
    count = row["code_checksum_words"]
    data = memory.read(code + row["code_checksum"], 8 * count)
    tagged = PYTHON_CODE << CAPTURE_KIND_SHIFT | code
    return RawFrame(tagged, position & 0xFFFF_FFFF, checksum(struct.unpack(f"<{count}Q", data)))


def walk(row: Row, memory: AddressSpace, root: int) -> Iterator[tuple[int, list[RawFrame]]]:
    """Ident and frames, leaf first, of each thread of the first interpreter."""
    interpreter = word(memory, root + row["runtime_interpreters_head"])
    assert word(memory, interpreter + row["interpreter_next"]) == 0
    thread = word(memory, interpreter + row["interpreter_threads_head"])
    while thread:
        frame = word(memory, thread + row["thread_frame"])
        if row.has("cframe_frame"):
            frame = word(memory, frame + row["cframe_frame"])
        yield word(memory, thread + row["thread_thread_id"]), list(frames(row, memory, frame))
        thread = word(memory, thread + row["thread_next"])


def frames(row: Row, memory: AddressSpace, frame: int) -> Iterator[RawFrame]:
    """The frames from `frame` on that run code which somebody wrote."""
    while frame:
        code = word(memory, frame + row["frame_code"]) & ~_REFERENCE_TAGS
        if not is_shim(row, memory, frame, code):
            yield raw_frame(row, memory, code, position(row, memory, frame, code))
        frame = word(memory, frame + row["frame_previous"])


def is_shim(row: Row, memory: AddressSpace, frame: int, code: int) -> bool:
    """Whether a frame stands for a call out of C, or cleans up after an ``__init__``."""
    if not row.has("frame_owner"):
        return False
    if memory.read(frame + row["frame_owner"], 1)[0] >= row["frame_first_shim_owner"]:
        return True
    return memory.read(code + row["code_first_line"], 4) == bytes(4) and memory.read(
        code + row["code_filename"], 8
    ) == memory.read(code + row["code_name"], 8)


def position(row: Row, memory: AddressSpace, frame: int, code: int) -> int:
    if row.has("frame_instr"):
        return word(memory, frame + row["frame_instr"]) - code - row["code_first_instr"]
    index = int.from_bytes(memory.read(frame + row["frame_lasti"], 4), "little", signed=True)
    return index * row["frame_lasti_unit"]
