"""The memory of a CPython whose thread has a name, or whose task awaits another: forged, and small.

An image is repeated over all addresses, so that a field far behind its object's start has a place in it too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from symbolizers.layout import Row
from tests.support.heap import PythonHeap

IMAGE_BYTES: Final = 1 << 15
ROOT: Final = 0x8000_0000
TASK: Final = ROOT
"""Where the interpreter's list begins in one image, and a task in the other."""
THREAD_POINTER: Final = 0x7000
_FIRST_ADDRESS: Final = ROOT + 0x1000
_WORD: Final = struct.Struct("<Q")


class _Repeated:
    """The part of `FakeMemory` that a heap writes to."""

    def __init__(self) -> None:
        self.content = bytearray(IMAGE_BYTES)

    def write(self, address: int, data: bytes) -> None:
        for index, byte in enumerate(data, address):
            self.content[index % IMAGE_BYTES] = byte


class _Objects:
    """Objects of the row in `heap`, with numbers of `places` about them."""

    def __init__(self, row: Row, places: Row) -> None:
        self.memory = _Repeated()
        self.heap = PythonHeap(row, self.memory, _FIRST_ADDRESS)
        self.places = places
        self._int_type = self.heap.add_type("int", flags=1 << 24)
        self._dict_type = self.heap.add_type("dict", flags=1 << 29)

    def put(self, address: int, value: int, width: int = 8) -> None:
        self.memory.write(address, value.to_bytes(width, "little"))

    def object_of(self, kind: int, size: int = 256) -> int:
        address = self.heap.allocate(size)
        self.put(address + self.heap.row["object_type"], kind)
        return address

    def integer(self, number: int) -> int:
        address, places = self.object_of(self._int_type), self.places
        self.put(address + places["int_size"], 2 << places["int_size_bit"])
        digits = struct.pack("<II", number % (1 << 30), number >> 30)
        self.memory.write(address + places["int_digits"], digits)
        return address

    def dict_of(self, entries: Sequence[tuple[int, int]]) -> int:
        places = self.places
        keys = self.heap.allocate(places["keys_indices"] + 8 + 24 * len(entries))
        self.put(keys + places["keys_entry_count"], len(entries))
        if places.has("keys_size"):
            self.put(keys + places["keys_size"], 8)
        else:
            self.put(keys + places["keys_log2_index_bytes"], 3, 1)
        for index, entry in enumerate(entries):
            at = keys + places["keys_indices"] + 8 + 24 * index
            self.memory.write(at, struct.pack("<8xQQ", *entry))
        address = self.object_of(self._dict_type)
        self.put(address + places["dict_keys"], keys)
        return address


def thread_image(row: Row, places: Row) -> bytes:
    """What leads from `ROOT` to the name of the one thread, which is at `THREAD_POINTER`."""
    objects = _Objects(row, places)
    heap = objects.heap
    kind = heap.add_type("Thread", flags=1 << 4)
    if places.has("type_dictoffset"):
        objects.put(kind + places["type_dictoffset"], 64)
    thread = objects.object_of(kind) + 64
    objects.put(thread + row["object_type"], kind)
    attributes = objects.dict_of([(heap.add_str("_name"), heap.add_str("worker"))])
    objects.put(thread - 24, attributes)
    objects.put(thread + 64, attributes)
    active = objects.dict_of([(objects.integer(THREAD_POINTER), thread)])
    module = heap.allocate(256)
    objects.put(module + places["module_dict"], objects.dict_of([(heap.add_str("_active"), active)]))
    modules = objects.dict_of([(heap.add_str("threading"), module)])
    interpreter = heap.allocate(64)
    objects.put(ROOT + row["runtime_interpreters_head"], interpreter)
    objects.put(interpreter + places["interpreter_modules"], modules)
    return bytes(objects.memory.content)


def task_image(row: Row, places: Row) -> tuple[bytes, int]:
    """A task at `TASK` and one that awaits it; and the address of the type of code objects."""
    objects = _Objects(row, places)
    heap = objects.heap
    table = heap.add_bytes(heap.line_table)
    code = heap.add_code(heap.add_name("/srv/app.py"), heap.add_name("handle"), table=table)
    awaiter = heap.allocate(512)
    for task, awaited_by in ((TASK, awaiter), (awaiter, 0)):
        coroutine = objects.object_of(heap.str_type, 512)
        frame = coroutine + places["coroutine_frame"]
        objects.put(frame + row["frame_code"], code)
        objects.put(frame + row["frame_instr"], code + row["code_first_instr"])
        objects.put(task + row["task_name"], objects.integer(7))
        objects.put(task + places["task_coroutine"], coroutine)
        objects.put(task + places["task_is_task"], 1, 1)
        objects.put(task + places["task_awaited_by"], awaited_by)
    return bytes(objects.memory.content), heap.code_type
