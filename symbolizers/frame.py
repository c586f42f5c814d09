"""The value types that symbolizers take and give. Frozen; no text is escaped or formatted here."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class FrameKind(str, Enum):
    """Where a frame runs; exporters colour and suffix by it."""

    __hash__ = str.__hash__  # Enum's own is Python code, and every frame of every sample is hashed

    PYTHON = "python"
    RUBY = "ruby"
    NATIVE = "native"
    KERNEL = "kernel"
    MARKER = "marker"
    """Not code: ``[truncated]`` and its like, said by the profiler itself."""


class Frame(NamedTuple):
    """One named frame of a stack, as the target calls it (unescaped, whatever it contains).

    `file` is the source file of an interpreted frame (empty for a C function of the interpreter) and the
    module's base name of a native one. `line` is 1-based, 0 where unknown.
    """

    kind: FrameKind
    name: str
    file: str = ""
    line: int = 0


class RawFrame(NamedTuple):
    """One interpreter frame as captured at the interrupt: numbers only.

    `address`: the code object (Python), the iseq or method entry (Ruby), with the capture kind in the
    top byte (see `capture_kind`). `position`: bytes from the start of the instructions to the one that
    runs, as a signed 32-bit number taken unsigned. `checksum`: of the object's immutable header, and of the
    owner's. `owner`: the method entry that a Ruby frame runs for, which alone knows the class; 0 without one.
    """

    address: int
    position: int
    checksum: int
    owner: int = 0


CAPTURE_KIND_SHIFT = 56
ADDRESS_MASK = (1 << CAPTURE_KIND_SHIFT) - 1


class CaptureKind(int, Enum):
    """What a `RawFrame.address` points at; mirrored by ``enum capture_kind`` in records.h."""

    PYTHON_CODE = 1
    RUBY_ISEQ = 2
    RUBY_CFUNC = 3


def capture_kind(address: int) -> int:
    """The `CaptureKind` number in a `RawFrame.address` (0 or an unknown one where it is forged)."""
    return address >> CAPTURE_KIND_SHIFT


@dataclass(frozen=True, slots=True)
class CodeObject:
    """The immutable facts behind one code object, iseq or C function, read once.

    `starts` and `lines` are parallel: instruction bytes from ``starts[i]`` on belong to ``lines[i]``
    (0: no line). Empty unless lines were asked for. `stands_for_caller`: a part of its caller that has a
    frame of its own, and is to be shown in the place of both.
    """

    kind: FrameKind
    name: str
    file: str
    first_line: int
    starts: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()
    stands_for_caller: bool = False

    def line_at(self, position: int) -> int:
        """The source line that runs at `position` (bytes, unsigned 32-bit as captured).

        Where the table has no line for it, or before the first instruction: the first line.
        """
        if position >= 1 << 31:
            return self.first_line
        index = bisect_right(self.starts, position) - 1
        return (self.lines[index] if index >= 0 else 0) or self.first_line
