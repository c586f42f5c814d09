"""A worker whose answers take as long as they are told to; `DeadlineWorker` starts it."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from multiprocessing.connection import Connection
from typing import cast

from symbolizers.errors import FaultReason, ReadFault
from symbolizers.process.syscalls import process_vm_readv
from symbolizers.service import Service
from symbolizers.worker import serve


class Trying:
    """Every way to behave; each method is a request."""

    def echo(self, value: object) -> object:
        return value

    def pid(self) -> int:
        return os.getpid()

    def arguments(self) -> list[str]:
        return sys.argv[2:]

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def work(self, cpu_s: float) -> str:
        """Uses the CPU for so long, by the CPU's clock."""
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

    def fault(self) -> None:
        raise ReadFault(0x1000, FaultReason.WOULD_FAULT)

    def refuse(self) -> None:
        os.open("/nowhere/at/all", os.O_RDONLY)

    def die(self) -> None:
        os._exit(3)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), cast(Service, Trying()))
