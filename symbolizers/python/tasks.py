"""Reads what awaits a task of asyncio, and with which coroutines: the callers that no stack shows."""

from __future__ import annotations

from typing import Final

from symbolizers.base import AddressSpace, Symbolizer, TaskChain
from symbolizers.checksum import MULTIPLIER, checksum
from symbolizers.errors import Changed, Malformed
from symbolizers.frame import CAPTURE_KIND_SHIFT, MARKER, CodeObject, Frame, RawFrame
from symbolizers.layout import Row
from symbolizers.python.kinds import PYTHON_CODE
from symbolizers.python.objects import INT_FLAG, PythonObjects, checked, word_in

MAX_TASKS: Final = 64
"""In a chain of awaiting tasks."""
MAX_COROUTINES: Final = 64
"""In each task."""
MAX_CHAIN_FRAMES: Final = 512
"""Beyond these, tasks of a chain go without their coroutines."""

_REFERENCE_TAGS: Final = 7
"""What a reference in a frame may have in its lowest bits, as in profiler/bpf/walk_python.h."""
_MAX_KNOWN_CODES: Final = 4096
_WORD_MASK: Final = (1 << 64) - 1


class PythonTasks:
    """Reads the tasks of one process. Lifetime: its address space.

    `row` is one of `symbolizers.python.layouts`, `places` one of `layouts_tasks`.
    """

    def __init__(self, row: Row, places: Row, memory: AddressSpace, symbolizer: Symbolizer) -> None:
        self._row = row
        self._places = places
        self._objects = PythonObjects(row, places, memory)
        self._memory = memory
        self._symbolizer = symbolizer
        self._codes: dict[tuple[int, int], CodeObject] = {}

    def chain(self, task: int, identity: int) -> TaskChain:
        """What waits for the task at that address, as long as that is a single task.

        Raises `Changed` where it is not the task (any more) that had `identity`, `ReadFault` or `Malformed`.
        """
        self._expect(task, identity)
        awaiters: list[int] = []
        awaiter = self._awaiter(task)
        while awaiter and awaiter not in (task, *awaiters) and len(awaiters) < MAX_TASKS:
            awaiters.append(awaiter)
            awaiter = self._awaiter(awaiter)
        frames: list[tuple[Frame, int]] = []
        for waiting in reversed(awaiters):
            frames.append((self._name(waiting), 0))
            if len(frames) < MAX_CHAIN_FRAMES:
                frames += self._coroutines(waiting)
        frames.append((self._name(task), 0))
        outermost, _ = self._frame(self._coroutine(task) + self._places["coroutine_frame"])
        self._expect(task, identity)
        return TaskChain(outermost, tuple(frames))

    def identity(self, task: int) -> int:
        """A number that tells the task from others at its address: from its name, as in the kernel side."""
        name = self._objects.word(checked(task) + self._row["task_name"])
        value = self._objects.word(name + self._row["task_name_value"])
        return (name + value * MULTIPLIER) & _WORD_MASK

    def _expect(self, task: int, identity: int) -> None:
        if self.identity(task) != identity:
            raise Changed(f"another task is at {task:#x}")
        if self._byte(self._coroutine(task), "coroutine_state") == self._places["coroutine_cleared_state"]:
            raise Changed(f"the task at {task:#x} is over, and nothing awaits it any more")

    def _awaiter(self, task: int) -> int:
        """The one task that waits for `task`; 0 where none does, or several."""
        if not self._byte(task, "task_is_task"):
            raise Malformed(f"object at {task:#x} is no task")
        if self._byte(task, "task_awaited_by_is_set"):
            return 0
        awaiter = self._objects.word(task + self._places["task_awaited_by"])
        return awaiter if awaiter and self._byte(awaiter, "task_is_task") else 0

    def _name(self, task: int) -> Frame:
        """A frame with the task's name, which is a number unless somebody gave it another."""
        name = self._objects.word(task + self._row["task_name"])
        if self._objects.flags(name) & INT_FLAG:
            (number,) = self._objects.integers([name])
            return Frame(MARKER, f"task Task-{number}")
        return Frame(MARKER, f"task {self._objects.text(name)}")

    def _coroutine(self, task: int) -> int:
        return checked(self._objects.word(task + self._places["task_coroutine"]))

    def _coroutines(self, task: int) -> list[tuple[Frame, int]]:
        """The coroutine that the task runs, what that awaits, and so on, each with its line."""
        frames: list[tuple[Frame, int]] = []
        coroutine = self._coroutine(task)
        kind = self._objects.word(coroutine + self._row["object_type"])
        while len(frames) < MAX_COROUTINES:
            frame = coroutine + self._places["coroutine_frame"]
            frames.append(self._frame(frame))
            if self._byte(coroutine, "coroutine_state") != self._places["coroutine_awaiting_state"]:
                break
            top = self._objects.word(frame + self._places["frame_stack_pointer"])
            coroutine = checked(
                self._objects.word(top - self._places["awaited_below_top"]) & ~_REFERENCE_TAGS
            )
            if self._objects.word(coroutine + self._row["object_type"]) != kind:
                break  # a future, mostly
        return frames

    def _frame(self, frame: int) -> tuple[Frame, int]:
        """The function that runs, or will go on, in the interpreter's frame at that address, and its line."""
        row = self._row
        code = checked(self._objects.word(frame + row["frame_code"]) & ~_REFERENCE_TAGS)
        words = self._memory.read(code + row["code_checksum"], 8 * row["code_checksum_words"])
        distance = self._objects.word(frame + row["frame_instr"]) - code - row["code_first_instr"]
        identity = checksum([word_in(words, offset) for offset in range(0, len(words), 8)])
        known = self._codes.get((code, identity))
        if known is None:
            address = PYTHON_CODE << CAPTURE_KIND_SHIFT | code
            known = self._symbolizer.read(RawFrame(address, 0, identity))
            if len(self._codes) < _MAX_KNOWN_CODES:
                self._codes[code, identity] = known
        definition = Frame(known.kind, known.name, known.file, known.first_line)
        return definition, known.line_at(distance) if known.starts else 0

    def _byte(self, address: int, name: str) -> int:
        return self._memory.read(checked(address) + self._places[name], 1)[0]
