"""The `kernel` strategy's own part, on an emulation: what it asks the kernel for, and reads in its answers.

The contract tests run against the real flags wherever a kernel has them; these tests show on every kernel
that the gate comes first, that the pidfd is passed, and what each errno is taken for.
"""

from __future__ import annotations

import ctypes
import errno
import os

import pytest

from symbolizers.errors import FaultReason
from symbolizers.process import memory
from symbolizers.process.identity import open_process
from symbolizers.process.memory import KernelSupport, NowaitReader, ReadStrategy
from symbolizers.process.syscalls import PROCESS_VM_NOWAIT, PROCESS_VM_PIDFD
from tests.support.process.emulation import readv_with_flags
from tests.support.process.readers import fault_of, faults
from tests.support.process.targets import PAGE

FLAGS = PROCESS_VM_PIDFD | PROCESS_VM_NOWAIT


class Kernel:
    """process_vm_readv with those of the two flags that are `known`; reads end with `error`."""

    def __init__(self, known: int = FLAGS, error: int = 0) -> None:
        self.known = known
        self.error = error
        self.calls: list[tuple[int, int]] = []

    def __call__(
        self, process: int, local: int | None, locals_: int, remote: int | None, remotes: int, flags: int
    ) -> int:
        self.calls.append((process, flags))
        if flags & ~self.known:
            return self._fail(errno.EINVAL)
        if local is None:
            return self._fail(errno.EFAULT)
        if self.error:
            return self._fail(self.error)
        return readv_with_flags(process, local, locals_, remote, remotes, flags)

    @staticmethod
    def _fail(number: int) -> int:
        ctypes.set_errno(number)
        return -1


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    emulated = Kernel()
    monkeypatch.setattr(memory, "process_vm_readv", emulated)
    return emulated


@pytest.mark.parametrize(
    ("known", "support", "strategies"),
    [
        (0, KernelSupport(False, False), (ReadStrategy.RESIDENT,)),
        (PROCESS_VM_PIDFD, KernelSupport(True, False), (ReadStrategy.RESIDENT,)),
        (PROCESS_VM_NOWAIT, KernelSupport(False, True), (ReadStrategy.RESIDENT,)),
        (FLAGS, KernelSupport(True, True), (ReadStrategy.KERNEL, ReadStrategy.RESIDENT)),
    ],
)
def test_each_flag_is_probed_for_itself(
    kernel: Kernel, known: int, support: KernelSupport, strategies: tuple[ReadStrategy, ...]
) -> None:
    kernel.known = known
    memory.probe.cache_clear()
    try:
        assert memory.probe() == support
        assert memory.available_strategies() == strategies
        # Once a run; never with anything but a pidfd of ours that was valid, or our pid.
        assert [flags for _, flags in kernel.calls] == [PROCESS_VM_PIDFD, PROCESS_VM_NOWAIT]
    finally:
        memory.probe.cache_clear()


def test_pidfd_and_both_flags_are_passed(kernel: Kernel) -> None:
    content = ctypes.create_string_buffer(b"bytes")
    with open_process(os.getpid()) as handle:
        reader = NowaitReader(handle, ReadStrategy.KERNEL)
        assert reader.read(ctypes.addressof(content), 5) == b"bytes"
        assert reader.read_many([(ctypes.addressof(content) + 1, 4)]) == [b"ytes"]
        assert kernel.calls == [(handle.pidfd, FLAGS)] * 2


def test_gate_comes_first(kernel: Kernel) -> None:
    with open_process(os.getpid()) as handle:
        reader = NowaitReader(handle, ReadStrategy.KERNEL)
        assert fault_of(lambda: reader.read(PAGE, 8)).fault is FaultReason.WOULD_FAULT
        handle.close()
        assert fault_of(lambda: reader.read(PAGE, 8)).fault is FaultReason.EXITED
    assert kernel.calls == []


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errno.EFAULT, FaultReason.BAD_ADDRESS),
        (errno.ESRCH, FaultReason.EXITED),
        (errno.EBADF, FaultReason.EXITED),
        (errno.EPERM, FaultReason.PERMISSION),
        (errno.ENOMEM, FaultReason.WOULD_FAULT),
    ],
)
def test_meaning_of_an_error(kernel: Kernel, error: int, fault: FaultReason) -> None:
    content = ctypes.create_string_buffer(b"bytes")
    address = ctypes.addressof(content)
    kernel.error = error
    with open_process(os.getpid()) as handle:
        reader = NowaitReader(handle, ReadStrategy.KERNEL)
        assert fault_of(lambda: reader.read(address, 5)).fault is fault
        assert faults(reader.read_many([(address, 2), (address + 2, 3)])) == [
            (address, fault),
            (address + 2, fault),
        ]


def test_error_that_means_a_bug_of_ours(kernel: Kernel) -> None:
    content = ctypes.create_string_buffer(b"bytes")
    kernel.error = errno.EINVAL
    with open_process(os.getpid()) as handle, pytest.raises(OSError, match="Invalid argument"):
        NowaitReader(handle, ReadStrategy.KERNEL).read(ctypes.addressof(content), 5)
