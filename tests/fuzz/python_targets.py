"""CPython: code objects, line tables, dicts, threads, tasks, and what builds say about themselves."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import Final

from symbolizers.base import AddressSpace, TaskChain
from symbolizers.checksum import checksum
from symbolizers.errors import SymbolizeError
from symbolizers.frame import ADDRESS_MASK, CAPTURE_KIND_SHIFT, CodeObject, RawFrame
from symbolizers.layout import Layouts, Row
from symbolizers.python.code import LINE_TABLES, MAX_NAME_CHARACTERS, PythonSymbolizer, TypeAddresses
from symbolizers.python.debug_offsets import TABLE_BYTES, TABLES, check_header, described
from symbolizers.python.dicts import Entries, PythonDicts
from symbolizers.python.kinds import PYTHON_CODE
from symbolizers.python.layouts import LAYOUTS
from symbolizers.python.layouts_tasks import TASKS
from symbolizers.python.layouts_threads import THREADS
from symbolizers.python.tasks import MAX_CHAIN_FRAMES, MAX_COROUTINES, MAX_TASKS, PythonTasks
from symbolizers.python.threads import PythonThreads
from tests.fuzz.memory import Image, Mirror, seeds
from tests.fuzz.python_images import ROOT, TASK, THREAD_POINTER, task_image, thread_image
from tests.fuzz.target import Target
from tests.support.heap import PythonHeap
from tests.symbolizers.python.test_debug_offsets import table_of

ROWS: Final = tuple(LAYOUTS)
_FLAGS: Final = (1 << 28, 1 << 27, 1 << 29 | 1 << 24, (1 << 32) - 1, 1 << 4 | 1 << 2)
_HEX_VERSION: Final = 0x030D00F0


def frame_at(row: Row, memory: AddressSpace, address: int) -> RawFrame:
    """What a walker captures there, whatever it is."""
    count = row["code_checksum_words"]
    data = memory.read((address & ADDRESS_MASK) + row["code_checksum"], 8 * count)
    return RawFrame(
        PYTHON_CODE << CAPTURE_KIND_SHIFT | address, 0, checksum(struct.unpack(f"<{count}Q", data))
    )


def check_code(code: CodeObject) -> None:
    assert len(code.name) <= MAX_NAME_CHARACTERS
    assert len(code.starts) == len(code.lines) <= 1 << 18
    assert all(0 <= line < 1 << 31 for line in (code.first_line, *code.lines))


@cache
def _heap(variant: int) -> tuple[Image, PythonHeap, int]:
    heap = PythonHeap(ROWS[variant % len(ROWS)])
    name = heap.add_name("имя.<locals>.f") if variant % 2 else heap.add_name("f")
    code = heap.add_code(heap.add_name("/srv/app.py"), name, table=heap.add_bytes(heap.line_table * 3))
    return Image(heap.memory.pages), heap, code


def _run_code(data: bytes) -> None:
    variant = data[0] % (2 * len(ROWS)) if data else 0
    image, heap, code = _heap(variant)
    memory = image.with_lies(data)
    types = TypeAddresses(heap.code_type, heap.str_type, heap.bytes_type)
    check_code(PythonSymbolizer(heap.row, memory, types, lines=True).read(frame_at(heap.row, memory, code)))


_DECODERS: Final = tuple(LINE_TABLES.values())


def _run_lines(data: bytes) -> None:
    first_line = int.from_bytes(data[1:5], "little", signed=True)
    starts, lines = _DECODERS[data[0] % len(_DECODERS) if data else 0](data[5:], first_line)
    assert len(starts) == len(lines) <= len(data)
    assert list(starts) == sorted(set(starts))
    assert all(0 <= line < 1 << 31 for line in lines)


def _line_tables() -> list[bytes]:
    """Of this file's own functions, each for every decoder."""
    tables = [each.__code__.co_linetable for each in (_run_code, check_code, PythonSymbolizer._parts)]
    return [bytes([which]) + b"\5\0\0\0" + table for which in range(len(_DECODERS)) for table in tables]


def _tables() -> list[bytes]:
    """Self-descriptions that say what the rows of `LAYOUTS` say."""
    rows = [LAYOUTS.find(places.versions[0]) for places in TABLES]
    return [
        bytes([number]) + table_of(row, hex_version=_HEX_VERSION) for number, row in enumerate(rows) if row
    ]


def _run_debug_offsets(data: bytes) -> None:
    """If the row can be used, code objects are read with it in memory that is the description's."""
    places = tuple(TABLES)[data[0] % len(tuple(TABLES)) if data else 0]
    table = data[1 : TABLE_BYTES + 1].ljust(TABLE_BYTES, b"\0")
    check_header(table, _HEX_VERSION)
    row = LAYOUTS.find(places.versions[0])
    assert row is not None
    full = described(row, table, places)
    memory = Mirror(data[TABLE_BYTES + 1 :] or table)
    kind = int.from_bytes(memory.read(0x1000 + full["object_type"], 8), "little")
    types = TypeAddresses(kind, kind, kind)
    with suppress(SymbolizeError):
        symbolizer = PythonSymbolizer(full, memory, types, lines=True)
        check_code(symbolizer.read(frame_at(full, memory, 0x1000)))
    for threads in THREADS:
        _use_dicts(PythonDicts(full, threads, memory))


def _use_dicts(dicts: PythonDicts) -> None:
    """Everything that threads are read with."""
    entries: Entries = [(0x1000, 0x1008), (0x2000, 8)]
    for read in (dicts.entries, dicts.attributes):
        with suppress(SymbolizeError):
            entries += read(0x1000)
    for address in (0x1000, 0x1008):
        with suppress(SymbolizeError):
            assert len(dicts.text(address)) <= 256
    with suppress(SymbolizeError):
        dicts.find(entries, b"_active")
    with suppress(SymbolizeError):
        assert all(0 <= number < 1 << 64 for number in dicts.integers([key for key, _ in entries]))


def _of(rows: Layouts, data: bytes) -> tuple[Row, Row, Mirror]:
    """The row of `rows` that the first byte chooses, the row of its version, and the rest as memory."""
    places = tuple(rows)[data[0] % len(tuple(rows)) if data else 0]
    row = LAYOUTS.find(places.versions[0])
    assert row is not None
    return row, places, Mirror(data[1:])


def _run_threads(data: bytes) -> dict[int, str]:
    row, places, memory = _of(THREADS, data)
    _use_dicts(PythonDicts(row, places, memory))
    wanted = (0, 8, THREAD_POINTER)
    found = PythonThreads(row, places, memory, root=ROOT).names(wanted)
    assert found.keys() <= set(wanted)
    assert all(len(name) <= 256 for name in found.values())
    return found


def _run_tasks(data: bytes) -> TaskChain:
    row, places, memory = _of(TASKS, data)
    _, kind = task_image(row, places)
    symbolizer = PythonSymbolizer(row, memory, TypeAddresses(kind, kind, kind), lines=True)
    tasks = PythonTasks(row, places, memory, symbolizer)
    chain = tasks.chain(TASK, tasks.identity(TASK))
    assert len(chain.frames) <= MAX_CHAIN_FRAMES + MAX_COROUTINES + MAX_TASKS
    return chain


def _threads() -> list[bytes]:
    seeds = []
    for number in range(len(tuple(THREADS))):
        row, places, _ = _of(THREADS, bytes([number]))
        seeds.append(bytes([number]) + thread_image(row, places))
        assert _run_threads(seeds[-1]) == {THREAD_POINTER: "worker"}
    return seeds


def _tasks() -> list[bytes]:
    seeds = []
    for number in range(len(tuple(TASKS))):
        row, places, _ = _of(TASKS, bytes([number]))
        seeds.append(bytes([number]) + task_image(row, places)[0])
        assert [frame.name for frame, _ in _run_tasks(seeds[-1]).frames] == [
            "task Task-7",
            "handle",
            "task Task-7",
        ]
    return seeds


@lru_cache
def _words_of(data: bytes) -> Sequence[int]:
    """Offsets of what is in an image."""
    return [at for at in range(1, len(data), 8) if any(data[at : at + 8])]


_WORDS: Final = (*_FLAGS, *range(ROOT + 0x1000, ROOT + 0x2000, 32), TASK)

TARGETS: Final = (
    Target("python_code", lambda: seeds(2 * len(ROWS)), _run_code, most_bytes=200),
    Target("python_lines", _line_tables, _run_lines),
    Target(
        "python_debug_offsets",
        _tables,
        _run_debug_offsets,
        allowed=(SymbolizeError, ValueError),
        places=lambda data: range(1, TABLE_BYTES + 1, 8),
        words=_WORDS,
        most_bytes=TABLE_BYTES + 4096,
    ),
    Target("python_threads", _threads, _run_threads, places=_words_of, words=_WORDS),
    Target("python_tasks", _tasks, _run_tasks, places=_words_of, words=_WORDS),
)
