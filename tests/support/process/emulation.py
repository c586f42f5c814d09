"""process_vm_readv as a kernel with the proposed flags has it, for kernels that don't know them.

It lets both strategies meet the whole contract everywhere. A read that gives up instead of waiting can't be
emulated: here it would wait. The contract tests show that the gate lets no such read through, and
tests/kernel shows the same with the real flags.
"""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from symbolizers.process.syscalls import PROCESS_VM_NOWAIT, PROCESS_VM_PIDFD, process_vm_readv


def readv_with_flags(
    process: int, local: int | None, locals_: int, remote: int | None, remotes: int, flags: int
) -> int:
    """Like `symbolizers.process.syscalls.process_vm_readv`, with the error in ``ctypes.get_errno()``, too."""
    if flags & ~(PROCESS_VM_PIDFD | PROCESS_VM_NOWAIT):
        return _fail(errno.EINVAL)
    pid = process
    if flags & PROCESS_VM_PIDFD and local is not None:
        try:
            fields = Path(f"/proc/self/fdinfo/{process}").read_text().split()
        except FileNotFoundError:
            return _fail(errno.EBADF)
        if "Pid:" not in fields:
            return _fail(errno.EBADF)
        pid = int(fields[fields.index("Pid:") + 1])
        if pid < 0:
            return _fail(errno.ESRCH)
    return int(process_vm_readv(pid, local, locals_, remote, remotes, 0))


def _fail(number: int) -> int:
    ctypes.set_errno(number)
    return -1
