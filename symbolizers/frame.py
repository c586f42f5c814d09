"""The value types that symbolizers take and give. Frozen; no text is escaped or formatted here."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

from msgspec import Struct

# The kinds of a `Frame` that is not of an interpreted language.
NATIVE: Final = "native"
KERNEL: Final = "kernel"
GENERATED: Final = "jit"
"""Code that the program has generated, by the name that its runtime gives."""
INLINED: Final = "inlined"
"""A native function that the compiler has put into the one below it."""
MARKER: Final = "marker"
"""Not code, but ``[truncated]`` and the like, which the profiler itself adds."""


class Frame(NamedTuple):
    """One named frame of a stack, as the target calls it (unescaped, whatever it contains).

    `kind`, which exporters colour and suffix by, is a language's name, `NATIVE`, `INLINED`, `GENERATED`,
    `KERNEL` or `MARKER`. `file` is the source file of an interpreted, generated or inlined frame (empty for a
    C function of the interpreter). Of a native one it is the module's base name, and the source file where
    there is a `line`. `line` is 1-based, 0 where unknown.
    """

    kind: str
    name: str
    file: str = ""
    line: int = 0


_MOST_OFFSET: Final = (1 << 63) - 1


class Function(NamedTuple):
    """A function that is not of an interpreted language: its frame, and its code in bytes.

    Whatever is from the address that was asked about to before `end` is of this function, too.
    """

    frame: Frame
    start: int
    end: int

    def moved(self, by: int) -> Function:
        """The same, `by` bytes further on, as far as offsets in a file reach."""
        return Function(self.frame, max(self.start + by, 0), min(self.end + by, _MOST_OFFSET))


ENTERED: Final = 1 << 31
_DISTANCE_MASK, _NEGATIVE = ENTERED - 1, ENTERED >> 1


class RawFrame(NamedTuple):
    """One interpreter frame as captured at the interrupt: numbers only.

    `address`: of the code object, with the kind in the top byte (see `capture_kind`); its language says what
    object that is. `position`: see `distance` and `is_entered`. `checksum`: of the object's immutable header,
    and of the owner's. `owner`: another object that the name depends on, such as the method entry that a
    frame runs for; 0 without one.

    From `FIRST_ANNOTATION` on, `address` is no code: the frame is an annotation, which says something else
    about the stack, in its place. Its kind says what `address` and `owner` are.
    """

    address: int
    position: int
    checksum: int
    owner: int = 0

    @property
    def distance(self) -> int:
        """Bytes from the start of the instructions to the one that runs; negative before the first."""
        position = self.position & _DISTANCE_MASK
        return position - ENTERED if position & _NEGATIVE else position

    @property
    def is_entered(self) -> bool:
        """Whether C code called the evaluation loop that runs this frame and those that it called."""
        return self.position & ENTERED != 0


# As in profiler/bpf/records.h.
CAPTURE_KIND_SHIFT: Final = 56
FIRST_ANNOTATION_KIND: Final = 128

ADDRESS_MASK: Final = (1 << CAPTURE_KIND_SHIFT) - 1
FIRST_ANNOTATION: Final = FIRST_ANNOTATION_KIND << CAPTURE_KIND_SHIFT
"""The least `RawFrame.address` of an annotation."""


def capture_kind(address: int) -> int:
    """The kind in a `RawFrame.address`, a number of one language (0 or an unknown one where it is forged)."""
    return address >> CAPTURE_KIND_SHIFT


class CodeObject(Struct, frozen=True):
    """The immutable facts behind one code object, read once.

    `starts` and `lines` are parallel: instruction bytes from ``starts[i]`` on belong to ``lines[i]``
    (0: no line). Both are empty unless lines were asked for. `stands_for_caller`: the code is a part of its
    caller that has a frame of its own, and one frame is shown in place of both.
    """

    kind: str
    name: str
    file: str
    first_line: int
    starts: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()
    stands_for_caller: bool = False

    def __post_init__(self) -> None:
        """Raises `ValueError` where `starts` and `lines` are not parallel."""
        if len(self.starts) != len(self.lines):
            raise ValueError(f"{len(self.starts)} starts of {len(self.lines)} lines")

    def line_at(self, distance: int) -> int:
        """The source line that runs at this `RawFrame.distance`.

        It is the first line where the table has none, and before the first instruction.
        """
        if distance < 0:
            return self.first_line
        index = bisect_right(self.starts, distance) - 1
        return (self.lines[index] if index >= 0 else 0) or self.first_line
