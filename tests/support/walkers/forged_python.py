"""A CPython process laid out from a layout row, for the walker."""

from __future__ import annotations

from dataclasses import dataclass

from symbolizers.checksum import MULTIPLIER
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import ABSENT_NUMBER, Row
from symbolizers.python.kinds import NAME, PYTHON_TASK
from symbolizers.python.layouts import LAYOUTS
from tests.support.heap import PAGE_BYTES, PythonHeap
from tests.support.python_walk import frames
from tests.support.walkers.harness import Image, Walker

THREAD = 0x7F00_0000_0700
_STRUCTURE_BYTES = 8192
"""Of an interpreter or a thread state: more than any of their offsets."""


@dataclass(frozen=True)
class ForgedPython:
    """An image, and what a walk over it gives: frames, leaf first, and the task where the version has one."""

    image: Image
    expected: list[RawFrame]
    leaf: int
    """The address of the frame."""


def is_shim(row: Row, index: int) -> bool:
    """Whether the frame of this number, from the root, stands for a call out of C: the root does."""
    return row.has("frame_owner") and index % 7 == 0


def is_cleanup(row: Row, index: int) -> bool:
    """Whether it cleans up after an ``__init__``."""
    return row.has("frame_owner") and index % 11 == 5


def depth_of(row: Row, shown: int) -> int:
    """How deep a `stack` is of which as many frames are captured."""
    depth = 0
    while shown:
        shown -= not (is_shim(row, depth) or is_cleanup(row, depth))
        depth += 1
    return depth


class _Process:
    def __init__(self, row: Row) -> None:
        self.row = row
        self.heap = PythonHeap(row)
        self.root = self._structure()
        self.interpreter = self._structure()
        self.threads: list[int] = []
        self.heap.words(self.root, {"runtime_interpreters_head": self.interpreter})

    def _structure(self) -> int:
        return self.heap.allocate(_STRUCTURE_BYTES)

    def next_interpreter(self) -> None:
        """Threads from now on are of another one, behind those before."""
        following = self._structure()
        self.heap.words(self.interpreter, {"interpreter_next": following})
        self.interpreter, self.threads = following, []

    def thread(self, ident: int, frame: int) -> int:
        thread = self._structure()
        if self.row.has("cframe_frame"):
            cframe = self.heap.allocate(64)
            self.heap.words(cframe, {"cframe_frame": frame})
            frame = cframe
        self.heap.words(thread, {"thread_thread_id": ident, "thread_frame": frame})
        if self.threads:
            self.heap.words(self.threads[-1], {"thread_next": thread})
        else:
            self.heap.words(self.interpreter, {"interpreter_threads_head": thread})
        self.threads.append(thread)
        return thread

    def code(self, number: int) -> int:
        file, name = self.heap.add_name("forged.py"), self.heap.add_name(f"function {number}")
        code = self.heap.add_code(file, name, first_line=number + 1, arguments=number)
        self.heap.words(code, {"code_name": name})
        return code

    def cleanup(self) -> int:
        """The code object that is under ``__init__`` and that nobody wrote."""
        name = self.heap.add_name("__init__")
        code = self.heap.add_code(name, name, first_line=0)
        self.heap.words(code, {"code_name": name})
        return code

    def frame(self, address: int, previous: int, code: int, position: int, *, shim: bool = False) -> None:
        row, memory = self.row, self.heap.memory
        values = {"frame_code": code, "frame_previous": previous}
        if row.has("frame_instr"):
            values["frame_instr"] = (code & ~1) + row["code_first_instr"] + position
        self.heap.words(address, values)
        if row.has("frame_lasti"):
            index = position // row["frame_lasti_unit"]
            memory.write(address + row["frame_lasti"], index.to_bytes(4, "little"))
        if row.has("frame_owner"):
            memory.write(address + row["frame_owner"], bytes([row["frame_first_shim_owner"] if shim else 0]))

    def stack(self, depth: int, *, scattered: bool = False) -> int:
        """The leaf of so many frames; some call themselves, some nobody wrote.

        They lie root first in memory, or `scattered`: every other caller above what it calls.
        """
        codes = [self.code(number) for number in range(3)]
        cleanup = self.cleanup()
        size, previous = self.row["frame_window"], 0
        places = [self.heap.allocate(size) for _ in range(depth)]
        if scattered:
            places[: depth // 2 * 2 : 2], places[1::2] = places[1::2], places[: depth // 2 * 2 : 2]
        for index, address in enumerate(places):
            code = codes[index // 2 % 3]
            if is_cleanup(self.row, index):
                code = cleanup
            if self.row.has("frame_owner"):
                code |= index % 2  # a tag, as references have from 3.14 on
            self.frame(address, previous, code, 4 * (index % 50), shim=is_shim(self.row, index))
            previous = address
        return previous

    def task(self, thread: int) -> list[RawFrame]:
        """Has a task run on the thread: its annotation, if the version has such."""
        if not self.row.has("thread_running_task"):
            return []
        task, name, digits = self._structure(), self._structure(), 77
        self.heap.words(thread, {"thread_running_task": task})
        self.heap.words(task, {"task_name": name})
        self.heap.words(name, {"task_name_value": digits})
        identity = (name + digits * MULTIPLIER) % (1 << 64)
        return [RawFrame(PYTHON_TASK << CAPTURE_KIND_SHIFT | task, 0, 0, identity)]

    def image(self) -> Image:
        pages = {number * PAGE_BYTES: bytes(page) for number, page in self.heap.memory.pages.items()}
        return Image(pages, (Walker.of(NAME, self.root, dict(self.row.numbers())),), THREAD)


def stack(row: Row, depth: int, *, others: int = 3, scattered: bool = False) -> ForgedPython:
    """The thread with so many frames, behind `others`, and behind a state of its own that runs nothing."""
    process = _Process(row)
    leaf = process.stack(depth, scattered=scattered)
    for number in range(others):
        process.thread(number + 1, leaf)
    process.thread(THREAD, 0)
    process.next_interpreter()
    thread = process.thread(THREAD, leaf)
    expected = list(frames(row, process.heap.memory, leaf)) + process.task(thread)
    return ForgedPython(process.image(), expected, leaf)


def low_frame(row: Row) -> Image:
    """The thread with a frame at an address where nothing is ever mapped."""
    process = _Process(row)
    process.thread(THREAD, 8)
    return process.image()


def endless_threads(row: Row) -> Image:
    """Threads in a ring: all of them are the interrupted one, and none runs anything."""
    process = _Process(row)
    threads = [process.thread(THREAD, 0) for _ in range(2)]
    process.heap.words(threads[1], {"thread_next": threads[0]})
    return process.image()


def images() -> list[Image]:
    """One of each layout row, and the one that takes the most reads."""
    found = [stack(row, 30).image for row in LAYOUTS]
    found += [endless_threads(row) for row in LAYOUTS if row["frame_window"] < ABSENT_NUMBER][-1:]
    return found
