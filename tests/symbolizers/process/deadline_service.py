"""A worker whose answers take as long as they are told to; `DeadlineWorker` starts it."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import time

from symbolizers.process.fork_server import fork_workers
from symbolizers.process.messages import MessageStream, serve
from symbolizers.process.syscalls import process_vm_readv


class Trying:
    """Every way to behave; each method is a request."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments

    def echo(self, value: object) -> object:
        return value

    def pid(self) -> int:
        return os.getpid()

    def arguments(self) -> list[str]:
        return self._arguments

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def work(self, cpu_s: float) -> str:
        """Uses this much CPU time, by the CPU's clock."""
        end_s = time.process_time() + cpu_s
        while time.process_time() < end_s:
            pass
        return "worked"

    def stay_on(self, cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})

    def read_waiting(self, pid: int, address: int) -> str:
        """The plain read that the project never makes: it waits in D state for a page that does not come."""
        buffer = ctypes.create_string_buffer(8)
        local = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
        remote = (ctypes.c_uint64 * 2)(address, 8)
        process_vm_readv(pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
        return "read"

    def die(self) -> None:
        os._exit(3)


def work(stream: socket.socket, arguments: list[str]) -> None:
    trying = Trying(arguments)

    def answer(message: bytes) -> bytes:
        method, *values = json.loads(message)
        return json.dumps(getattr(trying, method)(*values)).encode()

    serve(MessageStream(stream), answer)


if __name__ == "__main__":
    fork_workers(work)
