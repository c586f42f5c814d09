"""The unwind tables that the sampler follows: one map a file, within bounds of number and bytes."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from queue import Empty, Queue
from threading import Thread
from typing import NamedTuple

from profiler.capture.compiled import MapShape
from profiler.capture.header import read_header
from profiler.capture.kernel_objects import number
from profiler.capture.libbpf import Map
from symbolizers.elf.unwind_rules import Cfa
from symbolizers.inspection import CHUNK_BYTES, CHUNK_ROWS, KernelKey

MOST_BYTES = 128 << 20
"""Of all tables together, in the kernel."""
_MOST_OPEN = 256
"""Tables that we can look into, too: each takes a descriptor, of which there may be a thousand."""
_NUMBER = struct.Struct("<I")
_OFFSETS_BYTES = CHUNK_ROWS * _NUMBER.size
"""In a chunk, before the rules."""
_HEADER = read_header("records.h")
_KEY = _HEADER.structs["file_key"]
_TABLE = _HEADER.structs["unwind_table"]
_USED_NS = _TABLE.fields.index("used_ns")
_MOST_FOUND = 1024
"""Rules of one table that are found without a look into it: stacks share their callers."""
_SECOND_NS = 1_000_000_000
_MAJOR_SHIFT = 20


class _Open:
    """A table that can be looked into. `begins`: the first offset of each chunk."""

    def __init__(self, begins: array[int], table: Map | None) -> None:
        self._begins = begins
        self.table = table
        self._found: dict[int, int] = {}

    def find_rule(self, offset: int) -> int:
        rule = self._found.get(offset)
        if rule is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            rule = self._found[offset] = self._look_up(offset)
        return rule

    def close(self) -> None:
        if self.table is not None:
            self.table.close()

    def _look_up(self, offset: int) -> int:
        at = bisect_right(self._begins, offset) - 1
        if at < 0 or self.table is None:
            return Cfa.UNKNOWN
        chunk = self.table[number(at)]
        row = bisect_right(memoryview(chunk)[:_OFFSETS_BYTES].cast("I"), offset) - 1
        (rule,) = _NUMBER.unpack_from(chunk, _OFFSETS_BYTES + row * _NUMBER.size)
        return int(rule)


class UnwindTables:
    """Puts tables in, and takes out those that no stack led through for longest. Lifetime: one recording."""

    def __init__(
        self, by_file: Map, tables: Map, chunk: MapShape, refused: Callable[[OSError], None]
    ) -> None:
        """`by_file` says which of the maps in `tables` serves a file; `chunk`: the shape of the smallest.

        `refused` is told, in another thread, what the kernel says where it takes no table.
        """
        self._chunk = chunk
        self._writer = _Writer(by_file, tables, refused)
        self._by_file = by_file
        self._sizes: dict[bytes, tuple[int, int]] = {}
        """The slot and the bytes of each table, by the file's key."""
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._free = list(range(tables.shape.entries))

    def has(self, file: KernelKey) -> bool:
        """Whether the table of `file` is there, or is on its way."""
        return _packed(file) in self._sizes

    def put(self, file: KernelKey, chunks: bytes, *, base: int = 0) -> None:
        """Soon the sampler follows these chunks (see `make_chunks`), if any. Raises OSError.

        With a `base` they are of generated code, and take the place of an earlier table of it.
        """
        key = _packed(file)
        if key in self._sizes and not base:
            return
        while self._sizes and (not self._free or self._bytes() + len(chunks) > MOST_BYTES):
            self._evict()
        slot = self._sizes[key][0] if key in self._sizes else self._free[-1]
        count = len(chunks) // self._chunk.value_bytes
        entry = _TABLE.pack({"slot": slot, "chunks": count, "used_ns": 0, "base": base})
        table = self._table(count, chunks) if count else None
        self._writer.put(_Entry(key, entry, slot, table))
        self._close(key)
        self._keep_open(key, _Open(_begins(chunks), table))
        if key not in self._sizes:
            self._free.pop()
        self._sizes[key] = slot, len(chunks)

    def drop(self, file: KernelKey) -> None:
        """Takes its table out soon, if there is one."""
        key = _packed(file)
        if key in self._sizes:
            self._drop(key)

    def find_rule(self, file: KernelKey, offset: int) -> int | None:
        """As `SampleSource.find_rule`: by the very rows that the sampler follows."""
        key = _packed(file)
        opened = self._open.get(key)
        if opened is None:
            return None
        self._open.move_to_end(key)
        return opened.find_rule(offset)

    def flush(self) -> None:
        """Waits until the sampler has what was put."""
        self._writer.flush()

    def close(self) -> None:
        """Safe to call twice."""
        self._writer.close()
        while self._open:
            self._open.popitem()[1].close()

    def _keep_open(self, key: bytes, opened: _Open) -> None:
        self._open[key] = opened
        if len(self._open) > _MOST_OPEN:
            self._close(next(iter(self._open)))

    def _close(self, key: bytes) -> None:
        """Looks into this table no more."""
        opened = self._open.pop(key, None)
        if opened is not None and opened.table is not None:
            self._writer.close_table(opened.table)

    def _table(self, count: int, chunks: bytes) -> Map:
        table = Map("chunks", self._chunk.with_entries(count))
        try:
            table.update(array("I", range(count)).tobytes(), chunks)
        except BaseException:
            table.close()
            raise
        return table

    def _bytes(self) -> int:
        return sum(size for _, size in self._sizes.values())

    def _evict(self) -> None:
        self.flush()
        last_used = min(self._sizes, key=self._used_ns)
        self._drop(last_used)

    def _drop(self, key: bytes) -> None:
        slot, _ = self._sizes.pop(key)
        self._writer.put(_Dropped(key, slot))
        self._close(key)
        self._free.append(slot)

    def _used_ns(self, key: bytes) -> int:
        try:
            values = _TABLE.layout.unpack(self._by_file[key])
        except OSError:  # the kernel had refused it
            return 0
        return int(values[_USED_NS])


class _Entry(NamedTuple):
    """The table of a file, None without rows, that goes into a slot."""

    key: bytes
    value: bytes
    slot: int
    table: Map | None


class _Dropped(NamedTuple):
    """The table of a file that goes."""

    key: bytes
    slot: int


class _Writer:
    """Writes to the maps in a thread of its own.

    To change a map of maps takes the kernel 8 to 16 ms, in which it waits for programs that run: all that has
    come meanwhile goes in together.
    """

    def __init__(self, by_file: Map, tables: Map, refused: Callable[[OSError], None]) -> None:
        self._by_file = by_file
        self._tables = tables
        self._refused = refused
        self._entries: Queue[_Entry | _Dropped | Map | None] = Queue()
        self._thread: Thread | None = None
        """It begins with the first entry, when the process has given up its rights: threads keep theirs."""

    def put(self, entry: _Entry | _Dropped) -> None:
        self._entries.put(entry)
        if self._thread is None:
            self._thread = Thread(target=self._write, name="tables", daemon=True)
            self._thread.start()

    def close_table(self, table: Map) -> None:
        """Closes it, once it is written."""
        self._entries.put(table)

    def flush(self) -> None:
        self._entries.join()

    def close(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._entries.put(None)
            self._thread.join()

    def _write(self) -> None:
        is_open = True
        while is_open:
            entries = [self._entries.get()]
            with suppress(Empty):
                while True:
                    entries.append(self._entries.get_nowait())
            is_open = None not in entries
            for _, group in groupby(entries, type):
                some = list(group)
                self._write_all([each for each in some if isinstance(each, _Entry)])
                for each in some:
                    if isinstance(each, _Dropped):
                        self._by_file.discard(each.key)
                        self._tables.discard(number(each.slot))
                    elif isinstance(each, Map):
                        each.close()
                    self._entries.task_done()

    def _write_all(self, entries: Sequence[_Entry]) -> None:
        tables = [each for each in entries if each.table is not None]
        try:
            # The sampler sees a table at once, long before the kernel has waited for those that don't.
            for each in entries:
                self._by_file[each.key] = each.value
            if tables:
                slots = b"".join(number(each.slot) for each in tables)
                self._tables.update(slots, b"".join(number(each.table.fd) for each in tables if each.table))
        except OSError as error:
            self._refused(error)


def _begins(chunks: bytes) -> array[int]:
    """The first offset of each."""
    return array("I", [_NUMBER.unpack_from(chunks, at)[0] for at in range(0, len(chunks), CHUNK_BYTES)])


@lru_cache(_HEADER.defines["MAX_TABLES"])
def _packed(file: KernelKey) -> bytes:
    changed_s, changed_ns = divmod(file.changed_ns, _SECOND_NS)
    major, minor = file.device
    return _KEY.pack(
        {
            "inode": file.inode,
            "changed_s": changed_s,
            "changed_ns": changed_ns,
            "device": major << _MAJOR_SHIFT | minor,
        }
    )
