"""Filters for system calls (seccomp(2)), as programs of the kernel's classic BPF. The numbers are x86-64's.

A filter sees the numbers that a call gets, not the memory that they point to. What it refuses fails with
EPERM: the caller goes on, where a kill would turn one forbidden call into a lost process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from symbolizers.process.syscalls import check

_SYS_SECCOMP = 317
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1 << 2
"""The kernel slows a filtered process down against speculative reads of its own memory; not ours, please."""

_AUDIT_ARCH_X86_64 = 0xC000003E
_AUDIT_ARCH_I386 = 0x40000003
_X32 = 1 << 30
"""Numbers from here on are calls of the x32 ABI."""
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data."""
_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_AT_LEAST = 0x20, 0x05, 0x15, 0x25, 0x35
_JUMP_ANY_BIT, _RETURN = 0x45, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_IOCTLS = {_AUDIT_ARCH_X86_64: (16, _X32 + 514), _AUDIT_ARCH_I386: (54,)}
"""The numbers of ioctl(2) by the ABI of the caller."""

_libc = ctypes.CDLL(None, use_errno=True)

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false (in instructions), operand: struct sock_filter."""


Test = Callable[[int], list[Instruction]]
"""Instructions that go on behind themselves if an argument is as it should be, else jump over as many."""


def no_bits(argument: int, mask: int) -> Test:
    """Argument number `argument`, an int, has none of the bits `mask`."""
    return lambda refuse: [_load(_low(argument)), (_JUMP_ANY_BIT, refuse, 0, mask)]


def one_of(argument: int, *values: int) -> Test:
    """Argument number `argument`, an int, is one of `values`."""
    return lambda refuse: [_load(_low(argument)), *_any_of(values), (_JUMP, 0, 0, refuse)]


def pointer(argument: int, value: int) -> Test:
    """Argument number `argument`, of 64 bits, is `value`, which has 32."""
    return lambda refuse: [
        _load(_low(argument) + 4),
        (_JUMP_EQUAL, 0, refuse + 2, 0),
        _load(_low(argument)),
        (_JUMP_EQUAL, 0, refuse, value),
    ]


def at_least(argument: int, value: int) -> Test:
    """Argument number `argument`, of 64 bits, is `value` or more; `value` has 32."""
    return lambda refuse: [
        _load(_low(argument) + 4),
        (_JUMP_GREATER, 2, 0, 0),
        _load(_low(argument)),
        (_JUMP_AT_LEAST, 0, refuse, value),
    ]


def allow(number: int, *tests: Test) -> list[Instruction]:
    """Decides about the system call `number`: it may be made if its arguments pass all `tests`."""
    body: list[Instruction] = [_return(_ALLOW), _return(_REFUSE)]
    for test in reversed(tests):
        body = test(len(body) - 1) + body
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def only(calls: Iterable[Sequence[Instruction]]) -> list[Instruction]:
    """A filter that refuses all but these calls (see `allow`), and all by the ABIs of 32 bits and x32."""
    return [
        _load(_ARCH),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        _return(_REFUSE),
        _load(_NUMBER),
        *chain.from_iterable(calls),
        _return(_REFUSE),
    ]


def refuse_requests(requests: Sequence[int]) -> list[Instruction]:
    """A filter that refuses these requests to ioctl(2), by every ABI, and nothing else."""
    program = [_load(_ARCH)]
    for arch, numbers in _IOCTLS.items():
        decide = [_load(_low(1)), *_any_of(requests), _return(_ALLOW), _return(_REFUSE)]
        block = [_load(_NUMBER), *_any_of(numbers), _return(_ALLOW), *decide]
        program += [(_JUMP_EQUAL, 0, len(block), arch), *block]
    return [*program, _return(_ALLOW)]


def install(program: Sequence[Instruction]) -> None:
    """Puts this process under the filter, for good.

    Raises OSError: EACCES without CAP_SYS_ADMIN unless no_new_privs is set, EINVAL or ENOSYS where the kernel
    has no filters, ENOTSUP on another machine than x86-64.
    """
    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOTSUP, f"there is no filter for {os.uname().machine}")
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    flags = _SECCOMP_FILTER_FLAG_SPEC_ALLOW
    check(_libc.syscall(_SYS_SECCOMP, _SECCOMP_SET_MODE_FILTER, flags, header))


def _any_of(values: Sequence[int]) -> list[Instruction]:
    """Jumps over the one instruction behind these where what was loaded is one of `values`."""
    return [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]


def _low(argument: int) -> int:
    """The offset of the lower 32 bits of an argument; the upper ones follow."""
    return _ARGUMENTS + 8 * argument


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _return(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)
