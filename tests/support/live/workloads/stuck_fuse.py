"""A FUSE server for stuck targets: ``stuck_fuse.py MOUNT BACKING`` shows the files of BACKING under MOUNT.

Reads of files whose name starts with ``held`` are held back from the start, the second opening of such a
file is for direct I/O, and after the line ``freeze`` on stdin nothing at all is answered; ``thaw`` gives all
the answers that are owed. It says ``ready`` when mounted, and after each line. The mount lives in a mount
namespace of the server, whose end ends every request that hangs (struct layouts: linux/fuse.h, 7.31).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import sys
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 18, 25, 26
INTERRUPT, BATCH_FORGET = 36, 42
ASYNC_READ = 1
DIRECT_IO, KEEP_CACHE = 1, 2
ENOENT, ENOSYS = 2, 38
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_NOSUID = 0x20000, 0x4000, 1 << 18, 2
PR_SET_PDEATHSIG, SIGKILL = 1, 9
MOST_BYTES = 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    """Raises OSError for a libc call that failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(directory: str) -> int:
    """The descriptor of a new mount on `directory`, in a mount namespace of our own."""
    check(libc.unshare(CLONE_NEWNS))
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    check(libc.mount(b"fuse", directory.encode(), b"fuse", MS_NOSUID, options))
    return device


def attributes(node: int, path: Path) -> bytes:
    """struct fuse_attr of what stands at `path`."""
    status = path.stat()
    size, blocks = status.st_size, -(-status.st_size // 512)
    rest = (status.st_mode, 1, 0, 0, 0, 4096, 0)
    return struct.pack("=6Q10I", node, size, blocks, 0, 0, 0, 0, 0, 0, *rest)


class Server:
    """Answers the requests of one mount; node 1 is the directory, each file seen has a later number."""

    def __init__(self, device: int, backing: Path) -> None:
        self._device = device
        self._paths = {1: backing}
        self._opened: set[int] = set()
        self._owed: list[bytes] = []
        self._frozen = False
        self._thawed = False

    def obey(self, command: str) -> None:
        """Does what a line on stdin says."""
        self._frozen = command == "freeze"
        self._thawed = self._thawed or not self._frozen
        if not self._frozen:
            owed, self._owed = self._owed, []
            for request in owed:
                self._answer(request)

    def take(self, request: bytes) -> None:
        """Answers a request now, or owes the answer."""
        opcode, _, node = struct.unpack_from("=4xIQQ", request)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        held = opcode == READ and self._paths[node].name.startswith("held") and not self._thawed
        if self._frozen or held:
            self._owed.append(request)
        else:
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        opcode, unique, node = struct.unpack_from("=4xIQQ", request)
        body = self._body(opcode, request[40:], node)
        error, content = (-body, b"") if isinstance(body, int) else (0, body)
        os.write(self._device, struct.pack("=IiQ", 16 + len(content), error, unique) + content)

    def _body(self, opcode: int, body: bytes, node: int) -> bytes | int:
        if opcode == INIT:
            return struct.pack("=4I2H2I2HI28x", 7, 31, 1 << 17, ASYNC_READ, 12, 9, 1 << 17, 1, 32, 0, 0)
        path = self._paths[node]
        if opcode == LOOKUP:
            return self._found(path / os.fsdecode(body.rstrip(b"\0")))
        if opcode == GETATTR:
            return struct.pack("=Q2I", 3600, 0, 0) + attributes(node, path)
        if opcode == OPEN:
            again = node in self._opened and path.name.startswith("held")
            self._opened.add(node)
            return struct.pack("=Q2I", node, DIRECT_IO | KEEP_CACHE if again else KEEP_CACHE, 0)
        if opcode == READ:
            offset, size = struct.unpack_from("=8xQI", body)
            with path.open("rb") as file:
                return os.pread(file.fileno(), size, offset)
        return b"" if opcode in (RELEASE, FLUSH) else ENOSYS

    def _found(self, path: Path) -> bytes | int:
        if not path.exists():
            return ENOENT
        node = next((number for number, known in self._paths.items() if known == path), len(self._paths) + 1)
        self._paths[node] = path
        return struct.pack("=4Q2I", node, 0, 3600, 3600, 0, 0) + attributes(node, path)


def main(directory: str, backing: str) -> None:
    """Serve until stdin ends."""
    check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL))
    device = mount(directory)
    server = Server(device, Path(backing))
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([device, 0], [], [])
        if device in ready:
            server.take(os.read(device, MOST_BYTES))
        if 0 in ready:
            command = os.read(0, 64)
            if not command:
                return
            server.obey(command.decode().strip())
            print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
