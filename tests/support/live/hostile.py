"""Forged memory: a process that maps it where a test wants it, and CPython structures to lay out in it."""

from __future__ import annotations

import mmap
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from symbolizers.layout import Row
from tests.support.heap import PAGE_BYTES, FakeMemory
from tests.support.live.harness import WORKLOADS

ARENA = 0x2000_0000_0000
"""Where the target maps it: far from what the kernel chooses by itself."""
ARENA_BYTES = 4 << 20
SOUP = ARENA + (1 << 20)
SOUP_WORDS = 4096
"""A region full of words that lead into itself."""
OBJECT_BYTES = 64

EXTREMES = (0, 1, 7, 1 << 31, 1 << 40, 1 << 47, (1 << 56) - 8, 1 << 63, (1 << 64) - 8, (1 << 64) - 1)
ANY_TYPE_FLAGS = (1 << 64) - 1
"""The flags of a type that derives from everything."""


@dataclass(frozen=True)
class HostileProcess:
    """A process that has the arena mapped, all of it resident, and the same bytes here."""

    process: subprocess.Popen[bytes]
    arena: mmap.mmap
    thread: int
    """The pthread id of its only busy thread."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def write(self, address: int, data: bytes) -> None:
        """Put `data` at `address` of the target."""
        start = address - ARENA
        self.arena[start : start + len(data)] = data

    def lay_out(self, heap: FakeMemory) -> None:
        """Put every page of `heap` that lies in the arena where it belongs."""
        for page, data in heap.pages.items():
            if ARENA <= page * PAGE_BYTES < ARENA + ARENA_BYTES:
                self.write(page * PAGE_BYTES, bytes(data))

    def cpu_s(self) -> float:
        """CPU seconds of the whole process: clock_getcpuclockid(3) of another process."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def burn(self) -> None:
        """Lets it use the CPU until the end."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


def build(folder: Path, name: str, *claims: str) -> Path:
    """The program, in `folder`, that is taken for the interpreter that `claims` (-D) make of it."""
    program = folder / name
    arena = (f"-DPIDFLAME_ARENA={ARENA:#x}UL", f"-DPIDFLAME_ARENA_BYTES={ARENA_BYTES}")
    source = str(WORKLOADS / "hostile.c")
    command = ["cc", "-O1", "-rdynamic", *arena, *claims, source, "-o", str(program), "-lpthread"]
    subprocess.run(command, check=True)
    return program


@contextmanager
def running(program: Path) -> Iterator[HostileProcess]:
    """The program until the end of the block, ready but not burning."""
    descriptor = os.memfd_create("pidflame-hostile")
    try:
        os.ftruncate(descriptor, ARENA_BYTES)
        with (
            mmap.mmap(descriptor, ARENA_BYTES) as arena,
            subprocess.Popen(
                [program, str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[descriptor],
            ) as process,
        ):
            try:
                assert process.stdout is not None
                yield HostileProcess(process, arena, int(process.stdout.readline()))
            finally:
                process.kill()
    finally:
        os.close(descriptor)


def soup(row: Row, seed: int, types: Sequence[int]) -> bytes:
    """Words: most lead to other words here, many to `types`, and the rest are numbers to trip over.

    Half of the objects that they lead to could be strings, or bytes.
    """
    chance = random.Random(seed)
    inside = [SOUP + OBJECT_BYTES * chance.randrange(SOUP_WORDS * 8 // OBJECT_BYTES) for _ in range(24)]
    tagged = [address | 1 for address in inside[:3]]
    pool = [*inside, *tagged, *types, *range(4), *EXTREMES]
    memory = bytearray(struct.pack(f"<{SOUP_WORDS}Q", *chance.choices(pool, k=SOUP_WORDS)))
    for address in inside[::2] if types else ():
        object_at = address - SOUP
        struct.pack_into("<Q", memory, object_at + row["object_type"], chance.choice(types))
        for name in ("unicode_length", "bytes_size"):
            if row.has(name):
                struct.pack_into("<Q", memory, object_at + row[name], chance.choice((0, 3, 9, 200)))
        if row.has("unicode_state"):
            state = chance.choice((1, 2, 4)) << row["unicode_kind_bit"] | 1 << row["unicode_compact_bit"]
            struct.pack_into("<I", memory, object_at + row["unicode_state"], state)
    return bytes(memory)


def inside_soup(memory: bytes) -> list[int]:
    """Those addresses in the soup that lead to objects in it."""
    words = {word for (word,) in struct.iter_unpack("<Q", memory)}
    return sorted(word for word in words if SOUP <= word < SOUP + len(memory) and not word % OBJECT_BYTES)


def forged_stack(row: Row, seed: int, thread: int) -> bytes:
    """An interpreter state at the start of the arena, with a list of threads and one of frames. Both may be
    endless, and both lie from one place or another on. Most lists of threads have `thread`."""
    chance = random.Random(seed)
    memory = bytearray(soup(row, seed, ()))
    places = [8 * place for place in range(0, SOUP_WORDS - 512, 64)]
    threads, frames, codes = (chance.sample(places[1:], count) for count in (3, 8, 4))

    def put(offset: int, field: str, value: int) -> None:
        if row.has(field):
            struct.pack_into("<Q", memory, offset + row[field], value)

    def link(chain: list[int], index: int) -> int:
        """The next of the chain; or itself or one before, for a circle; or where nothing is."""
        lies = [chance.choice(chain), chain[index], 0, *EXTREMES]
        follows = chain[(index + 1) % len(chain)]
        chosen = follows if chance.random() < 0.8 else chance.choice(lies)
        return ARENA + chosen if chosen in chain else chosen

    put(0, "interpreter_next", chance.choice([0, ARENA, ARENA + chance.choice(places)]))
    put(0, "interpreter_threads_head", ARENA + threads[0])
    for index, offset in enumerate(frames):
        put(offset, "frame_code", ARENA + chance.choice(codes) | chance.choice([0, 0, 0, 1, 3]))
        put(offset, "frame_previous", link(frames, index))
        if row.has("frame_owner"):
            memory[offset + row["frame_owner"]] = chance.choice([0, 0, 0, 1, 3, 255])
    for index, offset in enumerate(threads):
        put(offset, "thread_thread_id", thread if index == 2 and chance.random() < 0.8 else 1)
        put(offset, "thread_next", link(threads, index))
        # If there is a step between thread and frame, its structure lies in the thread's own place.
        put(offset, "thread_frame", ARENA + (offset if row.has("cframe_frame") else frames[0]))
        put(offset, "cframe_frame", ARENA + frames[0])
    return bytes(memory)
