"""What the reader's tests run as targets: ``python target_programs.py KIND [FILE]``.

Each says what it has as one line of JSON (name -> number) when it is ready, then obeys one command a line
and answers each with a line of JSON. Standard library only, no import from the project.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PAGE = mmap.PAGESIZE
HUGE = 2 << 20
FIXED = 0x2000_0000_0000
"""Where every target puts its `resident` region: another process under the same pid has bytes there too."""

MEDIAN_OF = 501

PROT_NONE, PROT_READ, PROT_RW = 0, 1, 3
MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 2, 0x20, 0x100000
MADV_RANDOM, MADV_DONTNEED, MADV_HUGEPAGE, MADV_PAGEOUT = 1, 4, 14, 21

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
libc.mmap.restype = ctypes.c_void_p
for _name in ("munmap", "mprotect", "madvise"):
    getattr(libc, _name).argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

Facts = dict[str, int]
Commands = dict[str, Callable[[], int]]


def check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def map_pages(pages: int, *, protection: int = PROT_RW, at: int = 0, file: int = -1) -> int:
    flags = MAP_PRIVATE | (MAP_ANONYMOUS if file < 0 else 0) | (MAP_FIXED_NOREPLACE if at else 0)
    address: int | None = libc.mmap(at, pages * PAGE, protection, flags, file, 0)
    if address is None or address == ctypes.c_size_t(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def fill(address: int, pages: int) -> int:
    """Each page starts with its number (from 1) 16 times, which is what the tests expect."""
    for page in range(pages):
        ctypes.memset(address + page * PAGE, page + 1, PAGE)
    return address


def own_mmap_us() -> int:
    """How long this process's own mmap and munmap take: they wait for a reader that holds the mmap lock."""
    return own_mmap_ns() // 1000


def own_mmap_ns() -> int:
    start_ns = time.perf_counter_ns()
    address = map_pages(1)
    libc.munmap(address, PAGE, 0)
    return time.perf_counter_ns() - start_ns


def own_mmap_median_ns() -> int:
    return sorted(own_mmap_ns() for _ in range(MEDIAN_OF))[MEDIAN_OF // 2]


def memory(path: str) -> tuple[Facts, Commands]:
    """Regions of every kind that needs no helper; `path` is a file of at least 256 pages."""
    facts = {"resident": fill(map_pages(4, at=FIXED), 4)}
    facts["half"] = fill(map_pages(4), 2)
    # Far from where the kernel puts mappings by itself, so that the hole stays one.
    facts["holed"] = fill(map_pages(3, at=FIXED + (1 << 30)), 3)
    libc.munmap(facts["holed"] + PAGE, PAGE, 0)
    facts["none_touched"] = fill(map_pages(1), 1)
    check(libc.mprotect(facts["none_touched"], PAGE, PROT_NONE))
    facts["none_untouched"] = map_pages(1, protection=PROT_NONE)
    facts["untouched"] = map_pages(2)
    facts["zero"] = map_pages(1)
    ctypes.string_at(facts["zero"], 1)
    facts["dropped"] = fill(map_pages(1), 1)
    check(libc.madvise(facts["dropped"], PAGE, MADV_DONTNEED))
    huge = (map_pages(2 * HUGE // PAGE) + HUGE - 1) & ~(HUGE - 1)
    check(libc.madvise(huge, HUGE, MADV_HUGEPAGE))
    facts["huge"] = fill(huge, 4)
    facts |= file_regions(path)
    return facts, {
        "mmap_us": own_mmap_us,
        "mmap_median_ns": own_mmap_median_ns,
        "touch": lambda: ctypes.string_at(facts["untouched"] + 8, 1)[0],
    }


def file_regions(path: str) -> Facts:
    file = os.open(path, os.O_RDONLY)
    facts = {"file_mapped": map_pages(4, protection=PROT_READ, file=file)}
    # In the page cache, but only some pages in a page table.
    ctypes.string_at(facts["file_mapped"], 2 * PAGE)
    facts["file_cached"] = map_pages(4, protection=PROT_READ, file=file)
    cold = os.open(f"{path}.cold", os.O_RDONLY)
    os.posix_fadvise(cold, 0, 0, os.POSIX_FADV_DONTNEED)
    facts["file_cold"] = map_pages(256, protection=PROT_READ, file=cold)
    facts["file_random"] = map_pages(256, protection=PROT_READ, file=cold)
    check(libc.madvise(facts["file_random"], 256 * PAGE, MADV_RANDOM))
    return facts


def heap(pages: str) -> tuple[Facts, Commands]:
    """`pages` resident pages in one piece."""
    return {"resident": fill(map_pages(int(pages), at=FIXED), int(pages))}, {}


def swapped(_path: str) -> tuple[Facts, Commands]:
    """Four pages in swap (the machine needs some), beside four that are not."""
    pages = fill(map_pages(4), 4)
    check(libc.madvise(pages, 4 * PAGE, MADV_PAGEOUT))
    touch: Commands = {"touch": lambda: ctypes.string_at(pages, 1)[0]}
    return {"swapped": pages, "resident": fill(map_pages(4, at=FIXED), 4)}, touch


def userfault(_path: str) -> tuple[Facts, Commands]:
    """Three pages under a userfaultfd that nobody serves until told to; the first is present."""
    descriptor = check(libc.syscall(323, os.O_CLOEXEC))
    fcntl.ioctl(descriptor, 0xC018AA3F, struct.pack("=QQQ", 0xAA, 0, 0))
    region = fill(map_pages(3), 1)
    fcntl.ioctl(descriptor, 0xC020AA00, struct.pack("=QQQQ", region, 3 * PAGE, 1, 0))
    source = fill(map_pages(1), 1)

    def serve() -> int:
        fcntl.ioctl(descriptor, 0xC028AA03, struct.pack("=QQQQq", region + PAGE, source, PAGE, 0, 0))
        return PAGE

    return {"region": region}, {"serve": serve, "mmap_us": own_mmap_us, "mmap_median_ns": own_mmap_median_ns}


def headless(_path: str) -> tuple[Facts, Commands]:
    """Ready once the group leader has exited; a thread goes on."""
    facts = {"resident": fill(map_pages(4, at=FIXED), 4)}
    leader = os.getpid()

    def rest() -> None:
        while "\nState:\tZ" not in Path(f"/proc/{leader}/task/{leader}/status").read_text():
            time.sleep(0.001)
        serve(facts, {})

    threading.Thread(target=rest).start()
    libc.syscall(60, 0)
    raise AssertionError("exit returned")


def named(name: str) -> tuple[Facts, Commands]:
    """Has the command name `name` (in hexadecimal) once told to."""
    return {}, {"rename": lambda: check(libc.prctl(15, bytes.fromhex(name)))}


def leased(path: str) -> tuple[Facts, Commands]:
    """Maps a file on which it holds a write lease, and does not give it up when asked."""
    file = os.open(path, os.O_RDWR)
    facts = {"region": map_pages(1, protection=PROT_READ, file=file)}
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    return facts, {}


def changing(path: str) -> tuple[Facts, Commands]:
    """Becomes the `memory` target by exec when told to, over the same pipes; that one's facts follow."""
    # The next program has no region here.
    facts = {"old": fill(map_pages(4, at=FIXED + (2 << 30)), 4)}
    program = [sys.executable, __file__, "memory", path]
    return facts, {"exec": lambda: os.execv(program[0], program)}


def serve(facts: Facts, commands: Commands) -> None:
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        command = line.strip()
        print(json.dumps(0 if command == "ping" else commands[command]()), flush=True)


PROGRAMS = (memory, heap, swapped, userfault, headless, leased, named, changing)
KINDS = {program.__name__: program for program in PROGRAMS}

if __name__ == "__main__":
    check(libc.prctl(1, 9))  # PR_SET_PDEATHSIG, SIGKILL: never outlives the test run
    serve(*KINDS[sys.argv[1]](sys.argv[2]))
