"""A PHP process laid out from a layout row, for the walker."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from symbolizers.frame import RawFrame
from symbolizers.layout import Row
from symbolizers.php.functions import EVAL_CODE, OPCODE_BYTES
from symbolizers.php.kinds import (
    NAME,
    PHP_FUNCTION,
    PHP_INCLUDE,
    PHP_INCLUDE_ONCE,
    PHP_INTERNAL,
    PHP_REQUIRE,
    PHP_REQUIRE_ONCE,
)
from symbolizers.php.layouts import LAYOUTS
from tests.support.heap import PAGE_BYTES
from tests.support.php_heap import PhpHeap
from tests.support.walkers.harness import Image, Walker, registers_on

STACK = 0x7FFF_0000_0000
THREAD = 0x7F00_0000_0700
CODE_START, CODE_BYTES = 0x1000, 0x2000
"""PHP's own code, from the root on."""
GLOBALS_BYTES = 2048
OBJECT_CLASS, TYPE_OBJECT = 16, 8
EXTENDED_VALUE, OPCODE = 20, 28
INCLUDE_OR_EVAL, FRAMELESS = 73, 206
UNKNOWN = (1 << 32) - 1
LOADS = {1: PHP_FUNCTION, 2: PHP_INCLUDE, 4: PHP_INCLUDE_ONCE, 8: PHP_REQUIRE, 16: PHP_REQUIRE_ONCE}
"""The kind of frame that a file has by the extended value of the instruction that loads it; 1 is eval."""


@dataclass
class ForgedPhp:
    """A stack in the making, root first; `expected` is what is to be captured of it, leaf first."""

    row: Row
    expected: list[RawFrame] = field(default_factory=list)
    top: int = 0
    """The address of the last execute_data."""

    def __post_init__(self) -> None:
        self.heap = PhpHeap(self.row)
        self.root = self.heap.place(bytes(GLOBALS_BYTES))
        self.generator_class = self.heap.class_(b"Generator")
        self.generators = self.word(self.generator_class)
        self.handled = self.heap.opcodes((5, 6))

    def word(self, value: int) -> int:
        """The address of a word."""
        return self.heap.place(struct.pack("<Q", value))

    def put(self, address: int, value: int, form: str = "<Q") -> None:
        self.heap.memory.write(address, struct.pack(form, value))

    def call(self, function: int, opline: int = 0, *, this: int = 0, type_: int = 0) -> int:
        """Puts an execute_data on the stack; its address."""
        content = struct.pack("<5Q2IQ", opline, 0, 0, function, this, type_, 0, self.top)
        self.top = self.heap.place(content)
        return self.top

    def expect(self, function: int, position: int, kind: int = PHP_FUNCTION) -> None:
        self.expected.insert(0, self.heap.frame_of(function, kind)._replace(position=position))

    def user(self, name: bytes = b"run", *, at: int = 1, kind: int = PHP_FUNCTION, type_: int = 2) -> int:
        """A frame of user code that runs its opcode `at`; its op_array."""
        function = self.heap.function(name, type_=type_)
        self.call(function, self.opcode_of(function, at))
        self.expect(function, at * OPCODE_BYTES, kind)
        return function

    def internal(self, name: bytes = b"usort") -> int:
        """A frame of an internal function, which does not show without a name."""
        function = self.heap.internal(name)
        if not name:
            self.put(function + 8, 0)
        self.call(function, 0xDEAD_BEEF)
        if name:
            self.expect(function, 0, PHP_INTERNAL)
        return function

    def loader(self, extended_value: int, opcode: int = INCLUDE_OR_EVAL) -> None:
        """A frame of user code whose instruction loads a file or evals, or is another with that value."""
        function = self.user(b"loads")
        self.put(self.opcode_of(function, 1) + EXTENDED_VALUE, extended_value, "<I")
        self.put(self.opcode_of(function, 1) + OPCODE, opcode, "<B")

    def frameless(self, name: bytes = b"in_array") -> None:
        """What the frame on top calls without a frame, in builds that can."""
        callee = self.heap.internal(name)
        functions = self.word(0)
        self.put(functions, callee)
        self.put(self.frameless_functions(), functions)
        self.expect(callee, 0, PHP_INTERNAL)

    def frameless_functions(self) -> int:
        return self.root + GLOBALS_BYTES - 8

    def delegating(self, count: int) -> None:
        """`count` generators, each of which delegates to the next, and the last to a frame that runs."""
        below = self.top
        generators = [self.heap.place(bytes(256)) for _ in range(count + 1)]
        for generator, inner in pairwise([*generators, 0]):
            self.put(generator + OBJECT_CLASS, self.generator_class)
            self.put(generator + self.row["generator_parent"], inner)
        for generator in generators[:count]:
            self.top = 0xBAD0  # PHP itself does not keep up this link
            self.user(b"delegates", at=2)
            self.put(generator + self.row["generator_frame"], self.top)
        self.top = below
        self.call(0, this=generators[0], type_=TYPE_OBJECT)
        self.user(b"runs")
        self.put(generators[count] + self.row["generator_frame"], self.top)

    def opcode_of(self, function: int, at: int) -> int:
        opcodes = self.heap.memory.read(function + self.row["function_opcodes"], 8)
        return int.from_bytes(opcodes, "little") + at * OPCODE_BYTES

    def raise_in(self, function: int, at: int) -> None:
        """The frame on top handles an exception that its opcode `at` raised."""
        self.put(self.top, self.root + self.row["exception_op"] + OPCODE_BYTES)
        self.put(self.root + self.row["exception_opline"], self.opcode_of(function, at))
        self.expected[0] = self.expected[0]._replace(position=at * OPCODE_BYTES)

    def image(self, *, r15: int = 0, rip: int = CODE_START, has_frameless: bool = False) -> Image:
        """The thread interrupted in the frame on top, at `rip` from the root on, with this in its r15."""
        self.put(self.root + self.row["current_frame"], self.top)
        self.put(self.root + self.row["bailout"], STACK + 512)
        offsets = dict(self.row.numbers()) | {
            "generator_class": self.generators - self.root,
            "code_start": CODE_START,
            "code_bytes": CODE_BYTES,
        }
        if has_frameless:
            offsets["frameless_functions"] = self.frameless_functions() - self.root
        pages = {page * PAGE_BYTES: bytes(content) for page, content in self.heap.memory.pages.items()}
        walker = Walker.of(NAME, self.root, offsets)
        return Image(pages, (walker,), THREAD, registers_on(STACK, r15=r15, rip=self.root + rip))


def every_kind(row: Row, *, frameless: bool) -> tuple[ForgedPhp, Image]:
    """A stack with frames of all kinds."""
    forged = ForgedPhp(row)
    forged.user(b"", at=0)
    for extended_value, kind in LOADS.items():
        forged.loader(extended_value)
        forged.user(b"", kind=kind, type_=EVAL_CODE if extended_value == 1 else 2)
    forged.loader(8, opcode=INCLUDE_OR_EVAL + 1)
    forged.user(b"")
    forged.internal()
    forged.user(b"")
    forged.delegating(3)
    forged.internal(b"")
    forged.call(0)
    forged.raise_in(forged.user(), 3)
    if frameless:
        forged.loader(0, opcode=FRAMELESS)
        forged.frameless()
    forged.user()
    forged.internal(b"usleep")
    return forged, forged.image(has_frameless=frameless)


def leaf(row: Row, where: str) -> tuple[ForgedPhp, Image]:
    """A leaf of user code whose opline is in `where`: the register, the frame, or nowhere."""
    forged = ForgedPhp(row)
    forged.user(b"")
    function = forged.user()
    rip = CODE_START + (CODE_BYTES if where == "compiled" else 8)
    r15 = forged.opcode_of(function, 2 if where == "register" else 4)
    if where == "nowhere":
        forged.put(forged.top, forged.opcode_of(function, 1) + 8)
    position = {"register": 2 * OPCODE_BYTES, "frame": OPCODE_BYTES}.get(where, UNKNOWN)
    forged.expected[0] = forged.expected[0]._replace(position=position)
    return forged, forged.image(r15=r15, rip=rip)


def recursion(row: Row, depth: int) -> tuple[ForgedPhp, Image]:
    """A function that calls itself, `depth` deep."""
    forged = ForgedPhp(row)
    function = forged.user()
    for _ in range(depth - 1):
        forged.call(function, forged.opcode_of(function, 1))
    forged.expected *= depth
    return forged, forged.image()


def ring(row: Row) -> Image:
    """Two frames, each the caller of the other."""
    forged = ForgedPhp(row)
    forged.user()
    first = forged.top
    forged.user()
    forged.put(first + 48, forged.top)
    return forged.image()


def images() -> list[Image]:
    """Of each layout row, all frames and all leaves."""
    found = [every_kind(row, frameless=frameless)[1] for row in LAYOUTS for frameless in (False, True)]
    places = ("register", "frame", "nowhere", "compiled")
    return [*found, *(leaf(row, where)[1] for row in LAYOUTS for where in places)]
