"""What the nowait reader costs beside plain reads: ``python -m tests.bench.reader [ROUNDS]``.

Microseconds a code object, read as a symbolizer does: its header, then the headers of two strings it
points to, then their characters; five small reads, of which three wait for one another. The target has
the objects spread over its heap as CPython has. All ways take turns in one run. The bench prints Markdown
rows with the median of the rounds and their range.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader, available_strategies
from symbolizers.process.syscalls import process_vm_readv
from tests.support.process.targets import FIXED, PAGE, running

OBJECTS = 400
"""Code objects in one drain: a program's first second. Later drains read next to none."""
HEAP_PAGES = 256
HEADER_BYTES, STRING_BYTES, TEXT_BYTES = 192, 48, 40

Ranges = list[tuple[int, int]]
Pattern = tuple[tuple[int, int], Ranges, Ranges]


def patterns() -> list[Pattern]:
    """Where each object, its two string headers and their texts lie (strings of neighbours are near)."""
    found: list[Pattern] = []
    for index in range(OBJECTS):
        code = FIXED + (index * 1009 * 64) % ((HEAP_PAGES - 1) * PAGE)
        name = FIXED + (index * 613 * 64) % ((HEAP_PAGES - 1) * PAGE)
        file = FIXED + (index // 20 * 311 * 64) % ((HEAP_PAGES - 1) * PAGE)
        headers = [(name, STRING_BYTES), (file, STRING_BYTES)]
        texts = [(start + STRING_BYTES, TEXT_BYTES) for start, _ in headers]
        found.append(((code, HEADER_BYTES), headers, texts))
    return found


class PlainReader:
    """The same call without gate, identity or errors by meaning: what a read costs at least."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._buffer = ctypes.create_string_buffer(4096)
        self._bytes = memoryview(self._buffer).cast("B")
        self._local = (ctypes.c_uint64 * 2)(ctypes.addressof(self._buffer), 0)
        self._remote = (ctypes.c_uint64 * 2)()
        self._pointers = ctypes.addressof(self._local), ctypes.addressof(self._remote)

    def read(self, address: int, size: int) -> bytes:
        self._local[1] = self._remote[1] = size
        self._remote[0] = address
        local, remote = self._pointers
        if process_vm_readv(self._pid, local, 1, remote, 1, 0) != size:
            raise OSError(ctypes.get_errno(), hex(address))
        return self._bytes[:size].tobytes()


def one_by_one(read: Callable[[int, int], bytes], objects: list[Pattern]) -> None:
    for code, headers, texts in objects:
        read(*code)
        for address, size in headers:
            read(address, size)
        for address, size in texts:
            read(address, size)


def batched(reader: NowaitReader, objects: list[Pattern]) -> None:
    for code, headers, texts in objects:
        reader.read(*code)
        reader.read_many(headers)
        reader.read_many(texts)


def batched_by_ten(reader: NowaitReader, objects: list[Pattern]) -> None:
    for first in range(0, len(objects), 10):
        some = objects[first : first + 10]
        reader.read_many([code for code, _, _ in some])
        reader.read_many([header for _, headers, _ in some for header in headers])
        reader.read_many([text for _, _, texts in some for text in texts])


def measure(rounds: int) -> dict[str, list[float]]:
    """Microseconds a code object by way of reading, one number a round."""
    objects = patterns()
    costs: dict[str, list[float]] = {}
    with running("heap", HEAP_PAGES) as target, open_process(target.pid) as handle:
        plain = PlainReader(target.pid)
        ways: dict[str, Callable[[], None]] = {}
        ways["plain process_vm_readv"] = partial(one_by_one, plain.read, objects)
        readers = [NowaitReader(handle, strategy) for strategy in available_strategies()]
        for reader in readers:
            name = reader.strategy.value
            ways[f"{name}, one by one"] = partial(one_by_one, reader.read, objects)
            ways[f"{name}, one object's in a batch"] = partial(batched, reader, objects)
            ways[f"{name}, ten objects' in a batch"] = partial(batched_by_ten, reader, objects)
        for _ in range(rounds):
            for name, way in ways.items():
                for reader in readers:
                    reader.forget()
                start = time.perf_counter_ns()
                way()
                costs.setdefault(name, []).append((time.perf_counter_ns() - start) / 1000 / OBJECTS)
    return costs


def main() -> None:
    costs = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    plain = statistics.median(costs["plain process_vm_readv"])
    print("| way of reading | µs a code object (range) | times plain |\n|---|---|---|")
    for name, values in costs.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.1f} ({min(values):.1f} to {max(values):.1f}) | {middle / plain:.2f} |")


if __name__ == "__main__":
    main()
