"""Small helpers for tests of readers."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Callable, Sequence

import pytest

from symbolizers.errors import FaultReason, ReadFault, SymbolizeError
from symbolizers.process.files import found_file
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping
from symbolizers.process.memory import NowaitReader, ReadStrategy
from symbolizers.process.syscalls import process_vm_readv


def open_reader(pid: int, strategy: ReadStrategy) -> NowaitReader:
    return NowaitReader(open_process(pid), strategy)


def open_mapping(handle: ProcessHandle, mapping: Mapping) -> int:
    """A descriptor of the file that `mapping` maps, the caller's to close."""
    with found_file(handle, mapping) as found:
        return found.open()


def fault_of(read: Callable[[], bytes]) -> ReadFault:
    """The fault that `read` raises."""
    with pytest.raises(ReadFault) as caught:
        read()
    return caught.value


def faults(results: Sequence[bytes | SymbolizeError]) -> list[tuple[int, FaultReason]]:
    """Address and reason of results that are all faults."""
    found = [result for result in results if isinstance(result, ReadFault)]
    assert len(found) == len(results), results
    return [(fault.address, fault.fault) for fault in found]


def raw_read(process: int, ranges: Sequence[tuple[int, int]], flags: int) -> tuple[int, int]:
    """What the system call itself gives for `ranges` of a process: its count and, where that is -1, errno."""
    buffer = ctypes.create_string_buffer(sum(size for _, size in ranges))
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), len(buffer))
    remote = (ctypes.c_uint64 * (2 * len(ranges)))(*(word for one in ranges for word in one))
    count = process_vm_readv(
        process, ctypes.addressof(local), 1, ctypes.addressof(remote), len(ranges), flags
    )
    return count, ctypes.get_errno() if count < 0 else 0


class UngatedReads:
    """A child process of ours that reads 8 bytes at each address, one call each, without asking pagemap."""

    def __init__(self, process: int, addresses: Sequence[int], flags: int) -> None:
        self._ended, ended = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for address in addresses:
                    raw_read(process, [(address, 8)], flags)
            finally:
                os._exit(0)
        os.close(ended)

    def ended_within(self, seconds: float) -> bool:
        """Whether all reads have come back by then."""
        return bool(select.select([self._ended], [], [], seconds)[0])

    def reap(self) -> None:
        """To be called once its target has ended: nothing else surely ends it."""
        os.close(self._ended)
        os.waitpid(self.pid, 0)
