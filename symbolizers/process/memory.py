"""The nowait reader: the only place of the project that reads another process's memory.

Two strategies under one contract, chosen by what the kernel offers:

    kernel    pagemap gate, then process_vm_readv(pidfd, PROCESS_VM_PIDFD | PROCESS_VM_NOWAIT)
    resident  pagemap gate, then plain process_vm_readv by pid, then the pidfd once more

The gate comes first with both, since NOWAIT as proposed still waits for some pages (files without
asynchronous reads, many cold misses on one file, swap without readahead). A read can still wait when it
loses a race with reclaim after the gate, and for the target's mmap lock. Therefore the caller runs in a
worker that has a deadline and can be killed. /proc/PID/mem is never opened.
"""

from __future__ import annotations

import ctypes
import errno
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from itertools import chain

from msgspec import Struct

from symbolizers.errors import FaultReason, Malformed, ReadFault, SymbolizeError
from symbolizers.process.identity import ProcessHandle
from symbolizers.process.pagemap import PAGE_SHIFT, Residency
from symbolizers.process.syscalls import PROCESS_VM_NOWAIT, PROCESS_VM_PIDFD, process_vm_readv

READ_LIMIT_BYTES = 16 << 20
"""The most that one `read`, or all ranges of one `read_many` together, may ask for."""
ADDRESS_LIMIT = 1 << 56
"""User addresses are below it (five page-table levels); above are the kernel's, and made-up ones."""
_IOVEC_LIMIT = 1024
"""IOV_MAX: iovecs in one call."""
_SCRATCH_BYTES = 4096
"""Reads up to this size (nearly all) go through one buffer that the reader keeps."""

_LOOK_AHEAD_RANGES = 8
"""From this many ranges on, sorting their pages costs less than a pagemap read for each."""


class ReadStrategy(str, Enum):
    """How a page that passed the gate is read; the values are what people write on the command line."""

    KERNEL = "kernel"
    RESIDENT = "resident"


class KernelSupport(Struct, frozen=True):
    """Which of the proposed flags this kernel's process_vm_readv knows."""

    pidfd: bool
    nowait: bool


@cache
def probe() -> KernelSupport:
    """Ask the kernel for each flag, once a run.

    Flags are checked before buffers: EINVAL where a flag is unknown, EFAULT (of the NULL iovecs) where it
    is known. The pidfd is our own and valid: an early version of the patch crashed on a bad one.
    """
    pidfd = os.pidfd_open(os.getpid())
    try:
        return KernelSupport(
            pidfd=_knows_flag(pidfd, PROCESS_VM_PIDFD),
            nowait=_knows_flag(os.getpid(), PROCESS_VM_NOWAIT),
        )
    finally:
        os.close(pidfd)


def _knows_flag(process: int, flag: int) -> bool:
    return process_vm_readv(process, None, 1, None, 1, flag) < 0 and ctypes.get_errno() == errno.EFAULT


def available_strategies() -> tuple[ReadStrategy, ...]:
    """The strategies that work on this kernel, the preferred one first."""
    support = probe()
    if support.pidfd and support.nowait:
        return (ReadStrategy.KERNEL, ReadStrategy.RESIDENT)
    return (ReadStrategy.RESIDENT,)


_PROCESS_WIDE = {
    errno.ESRCH: FaultReason.EXITED,
    errno.ENOENT: FaultReason.EXITED,
    errno.EBADF: FaultReason.EXITED,
    errno.EPERM: FaultReason.PERMISSION,
    errno.EACCES: FaultReason.PERMISSION,
    # The kernel had no memory for its own arrays: as good as a page that is not there now.
    errno.ENOMEM: FaultReason.WOULD_FAULT,
}
"""Errors that are about the process (or about us) and not about an address."""


class NowaitReader:
    """A target's memory without waiting for it (an `AddressSpace`). Lifetime: one process.

    The handle stays the caller's to close; `forget` closes all that the reader itself holds.
    Not for use by two threads at once.
    """

    def __init__(self, handle: ProcessHandle, strategy: ReadStrategy | None = None) -> None:
        """`strategy`: one of `available_strategies`; by default the preferred one."""
        self.strategy = available_strategies()[0] if strategy is None else strategy
        self._handle = handle
        self._by_pidfd = self.strategy is ReadStrategy.KERNEL
        self._flags = PROCESS_VM_PIDFD | PROCESS_VM_NOWAIT if self._by_pidfd else 0
        self._residency = Residency(handle.id.pid)
        scratch = ctypes.create_string_buffer(_SCRATCH_BYTES)
        self._scratch = memoryview(scratch).cast("B")
        # Two iovecs, local and remote, built once: 0.6 us of a read otherwise. The array must not grow.
        self._iovecs = array("Q", (ctypes.addressof(scratch), 0, 0, 0))
        self._local_iovec = self._iovecs.buffer_info()[0]
        self._remote_iovec = self._local_iovec + 2 * self._iovecs.itemsize

    def read(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes at `address`. Never waits, never a zero in place of a byte.

        Raises `ReadFault` with the first address that could not be had, and `Malformed` for a size below
        0 or over `READ_LIMIT_BYTES` (a length that a target made up).
        """
        if not 0 < size <= _SCRATCH_BYTES:
            return self._read_unusual(address, size)
        missing = self._gate(address, size)
        if missing is not None:
            raise missing
        iovecs = self._iovecs
        iovecs[1] = iovecs[3] = size
        iovecs[2] = address
        count = process_vm_readv(self._target(), self._local_iovec, 1, self._remote_iovec, 1, self._flags)
        if count < size:
            raise self._fault_after(address, count)
        if not self._by_pidfd and not self._handle.alive():
            raise ReadFault(address, FaultReason.EXITED)
        return self._scratch[:size].tobytes()

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        """Each ``(address, size)`` as `read` would give it, its error in place of bytes.

        One pagemap read for a run of neighbouring pages, one process_vm_readv for up to 1024 ranges; a
        range that faults costs one more call, for those behind it.
        """
        results: list[bytes | SymbolizeError] = [b""] * len(ranges)
        wanted = self._sort_out(ranges, results)
        while wanted:
            taken = self._read_batch([ranges[index] for index in wanted[:_IOVEC_LIMIT]])
            for index, result in zip(wanted, taken, strict=False):
                results[index] = result
            wanted = wanted[len(taken) :]
        if not self._by_pidfd and not self._handle.alive():
            for index in range(len(results)):
                if isinstance(results[index], bytes) and results[index]:
                    results[index] = ReadFault(ranges[index][0], FaultReason.EXITED)
        return results

    def touch(self, address: int) -> bool:
        """Reads one byte at `address` without asking the gate; returns whether it could be read.

        This makes the page present and waits for whatever that takes, so it is only for pages that are in
        memory somewhere (see prefetch.py).
        """
        iovecs = self._iovecs
        iovecs[1] = iovecs[3] = 1
        iovecs[2] = address
        count = process_vm_readv(self._target(), self._local_iovec, 1, self._remote_iovec, 1, self._flags)
        return bool(count == 1)

    def forget(self) -> None:
        """Forgets which pages were present, and closes the pagemap. To be called between two drains.

        A page that is known to be present is read without asking again, and might have been reclaimed
        since: the sooner it is forgotten, the rarer a read waits. This also bounds how long a pagemap that
        was opened before an exec can be taken for the new program's.
        """
        self._residency.forget()

    def _target(self) -> int:
        return self._handle.pidfd if self._by_pidfd else self._handle.id.pid

    def _read_unusual(self, address: int, size: int) -> bytes:
        """The sizes that `read` has no prepared buffer for."""
        (result,) = self.read_many([(address, size)])
        if isinstance(result, SymbolizeError):
            raise result
        return result

    def _gate(self, address: int, size: int) -> ReadFault | None:
        """None where all of the range may be read: it can exist, and every page of it is present."""
        end = address + size
        if address < 0 or end > ADDRESS_LIMIT:
            return ReadFault(address, FaultReason.BAD_ADDRESS)
        if self._handle.pidfd < 0:
            return ReadFault(address, FaultReason.EXITED)
        try:
            page = self._residency.first_missing(address >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT)
        except OSError as error:
            return self._fault(address, _process_wide(error.errno))
        if page is None:
            return None
        return self._fault(max(address, page << PAGE_SHIFT), FaultReason.WOULD_FAULT)

    def _sort_out(
        self, ranges: Sequence[tuple[int, int]], results: list[bytes | SymbolizeError]
    ) -> list[int]:
        """Indices of the ranges to read; `results` gets the errors of those that may not be."""
        total_bytes = 0
        asked: list[int] = []
        for index, (address, size) in enumerate(ranges):
            if not 0 <= size <= READ_LIMIT_BYTES - total_bytes:
                results[index] = Malformed(f"a read of {size} bytes at {address:#x}")
            elif size:
                total_bytes += size
                asked.append(index)
        if len(asked) >= _LOOK_AHEAD_RANGES:
            self._look_ahead([ranges[index] for index in asked])
        wanted: list[int] = []
        for index in asked:
            missing = self._gate(*ranges[index])
            if missing is None:
                wanted.append(index)
            else:
                results[index] = missing
        return wanted

    def _look_ahead(self, ranges: list[tuple[int, int]]) -> None:
        """Ask pagemap for all of `ranges` in as few calls as it takes; the gate then knows the answers."""
        if self._handle.pidfd < 0:
            return
        possible = [(start, start + size - 1) for start, size in ranges if 0 <= start < ADDRESS_LIMIT - size]
        # The gate meets the same error, and puts its meaning into each range's place.
        with suppress(OSError):
            self._residency.look_ahead([(start >> PAGE_SHIFT, end >> PAGE_SHIFT) for start, end in possible])

    def _read_batch(self, ranges: list[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        """One system call for `ranges`, all gated: results up to and including the first that faults."""
        total_bytes = sum(size for _, size in ranges)
        bytes_read, iovecs = self._scratch, self._iovecs
        if total_bytes > _SCRATCH_BYTES:
            buffer = ctypes.create_string_buffer(total_bytes)
            bytes_read, iovecs = memoryview(buffer).cast("B"), array("Q", (ctypes.addressof(buffer), 0))
        iovecs[1] = total_bytes
        remote = array("Q", chain.from_iterable(ranges))
        count = process_vm_readv(
            self._target(), iovecs.buffer_info()[0], 1, remote.buffer_info()[0], len(ranges), self._flags
        )
        results: list[bytes | SymbolizeError] = []
        start = 0
        for address, size in ranges:
            if count < start + size:
                results.append(self._fault_after(address, count - start if count >= 0 else count))
                break
            results.append(bytes_read[start : start + size].tobytes())
            start += size
        return results

    def _fault_after(self, address: int, count: int) -> ReadFault:
        """The fault of a read of `address` that gave only `count` bytes (-1: none, and errno says why)."""
        number = errno.EFAULT if count >= 0 else ctypes.get_errno()
        address += max(count, 0)
        if number != errno.EFAULT:
            return self._fault(address, _process_wide(number))
        # EFAULT is "bad address" and, with NOWAIT, "would wait" alike: a page that was reclaimed since
        # the gate is gone from a fresh pagemap, a forbidden one is still there.
        self._residency.forget()
        return self._gate(address, 1) or ReadFault(address, FaultReason.BAD_ADDRESS)

    def _fault(self, address: int, reason: FaultReason) -> ReadFault:
        """A finding about the pid holds for our process only while the pid is still its own."""
        return ReadFault(address, reason if self._handle.alive() else FaultReason.EXITED)


def _process_wide(number: int | None) -> FaultReason:
    """The meaning of an errno that no address explains. Raises OSError for one that means a bug of ours."""
    reason = _PROCESS_WIDE.get(number or 0)
    if reason is None:
        raise OSError(number or 0, os.strerror(number or 0))
    return reason
