"""A target that maps a file of a FUSE server that answers everything but reads: ``-m … DIR VARIANT``.

The server speaks the raw /dev/fuse protocol (struct layouts: linux/fuse.h, 7.31). The mount lives in a
mount namespace of its own and the only descriptor of the connection in the server, so that killing the
server ends every request that hangs, whatever state its process is in, and leaves nothing behind.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import sys

from tests.support.process.target_programs import (
    MADV_RANDOM,
    PAGE,
    PROT_READ,
    Commands,
    Facts,
    check,
    fill,
    libc,
    map_pages,
    own_mmap_median_ns,
    own_mmap_us,
    serve,
)

READ_AHEAD_PAGES = 32
FILE_PAGES = 256 * READ_AHEAD_PAGES
"""Room for more misses than the kernel skips (100), each further from the last than it reads ahead."""
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 18, 25, 26
ASYNC_READ = 1
ENOENT, ENOSYS = 2, 38
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_NOSUID = 0x20000, 0x4000, 1 << 18, 2


def attributes(node: int) -> bytes:
    directory = node == 1
    mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o755
    size = 0 if directory else FILE_PAGES * PAGE
    return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)


def answer(opcode: int, body: bytes, node: int, *, asynchronous: bool, readahead: int) -> bytes | int:
    """The body of the answer, or an errno. Names and attributes count as stale at once."""
    if opcode == INIT:
        flags = ASYNC_READ if asynchronous else 0
        return struct.pack("=4I2H2I2HI28x", 7, 31, readahead, flags, 12, 9, 1 << 17, 1, 32, 0, 0)
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != b"file":
            return ENOENT
        return struct.pack("=4Q2I", 2, 0, 0, 0, 0, 0) + attributes(2)
    if opcode == GETATTR:
        return struct.pack("=Q2I", 0, 0, 0) + attributes(node)
    if opcode == OPEN:
        return struct.pack("=Q2I", 1, 0, 0)
    return b"" if opcode in (RELEASE, FLUSH) else ENOSYS


def run_server(device: int, shared: mmap.mmap, *, asynchronous: bool, readahead: int) -> None:
    """Serves until killed. `shared`: byte 0 counts reads (never answered); byte 1 set: answers nothing."""
    while True:
        request = os.read(device, 1 << 18)
        opcode, unique, node = struct.unpack_from("=4xIQQ", request)
        if opcode == READ:
            shared[0] = min(shared[0] + 1, 255)
        if opcode in (READ, FORGET) or shared[1]:
            continue
        body = answer(opcode, request[40:], node, asynchronous=asynchronous, readahead=readahead)
        if isinstance(body, int):
            os.write(device, struct.pack("=IiQ", 16, -body, unique))
        else:
            os.write(device, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)


def mount(directory: str) -> int:
    check(libc.unshare(CLONE_NEWNS))
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    check(libc.mount(b"fuse", directory.encode(), b"fuse", MS_NOSUID, options))
    return device


def target(directory: str, shared: mmap.mmap) -> tuple[Facts, Commands]:
    file = os.open(f"{directory}/file", os.O_RDONLY)
    facts = {"pid": os.getpid(), "resident": fill(map_pages(4), 4)}
    facts["plain"] = map_pages(FILE_PAGES, protection=PROT_READ, file=file)
    facts["random"] = map_pages(FILE_PAGES, protection=PROT_READ, file=file)
    check(libc.madvise(facts["random"], FILE_PAGES * PAGE, MADV_RANDOM))

    def freeze() -> int:
        shared[1] = 1
        return 0

    return facts, {
        "reads": lambda: shared[0],
        "freeze": freeze,
        "mmap_us": own_mmap_us,
        "mmap_median_ns": own_mmap_median_ns,
    }


def main(directory: str, variant: str) -> None:
    check(libc.prctl(1, 9))  # PR_SET_PDEATHSIG, SIGKILL
    device = mount(directory)
    shared = mmap.mmap(-1, PAGE)
    if os.fork() == 0:
        check(libc.prctl(1, 9))
        os.close(device)
        serve(*target(directory, shared))
        os._exit(0)
    readahead = 0 if variant == "no_readahead" else READ_AHEAD_PAGES * PAGE
    run_server(device, shared, asynchronous=variant != "sync_reads", readahead=readahead)


if __name__ == "__main__":
    main(*sys.argv[1:])
