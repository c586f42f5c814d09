"""Filters for system calls (seccomp(2)), as programs of the kernel's classic BPF. The numbers are x86-64's.

A filter sees the numbers that a call gets, not the memory that they point to. What it refuses fails with
EPERM: the caller goes on, where a kill would turn one forbidden call into a lost process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_IOCTLS = {_AUDIT_ARCH_X86_64: (16, _X32 + 514), _AUDIT_ARCH_I386: (54,)}
"""The numbers of ioctl(2) by the ABI of the caller."""

_libc = ctypes.CDLL(None, use_errno=True)

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false (in instructions), operand: struct sock_filter."""


@dataclass(frozen=True, slots=True)
class NoBits:
    """Argument number `argument`, an int, has none of the bits `mask`."""

    argument: int
    mask: int

    def code(self, refuse: int) -> list[Instruction]:
        """Instructions that go on behind themselves, or jump over `refuse` more."""
        return [_load(_low(self.argument)), (_JUMP_ANY_BIT, refuse, 0, self.mask)]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Argument number `argument`, an int, is one of `values`."""

    argument: int
    values: Sequence[int]

    def code(self, refuse: int) -> list[Instruction]:
        """As `NoBits.code`."""
        last = len(self.values) - 1
        jumps = [
            (_JUMP_EQUAL, last - index, refuse if index == last else 0, value)
            for index, value in enumerate(self.values)
        ]
        return [_load(_low(self.argument)), *jumps]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Argument number `argument`, of 64 bits, is `value`, which has 32."""

    argument: int
    value: int

    def code(self, refuse: int) -> list[Instruction]:
        """As `NoBits.code`."""
        return [
            _load(_low(self.argument) + 4),
            (_JUMP_EQUAL, 0, refuse + 2, 0),
            _load(_low(self.argument)),
            (_JUMP_EQUAL, 0, refuse, self.value),
        ]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Argument number `argument`, of 64 bits, is `value` or more; `value` has 32."""

    argument: int
    value: int

    def code(self, refuse: int) -> list[Instruction]:
        """As `NoBits.code`."""
        return [
            _load(_low(self.argument) + 4),
            (_JUMP_GREATER, 2, 0, 0),
            _load(_low(self.argument)),
            (_JUMP_AT_LEAST, 0, refuse, self.value),
        ]


Test = NoBits | OneOf | Pointer | AtLeast


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that is allowed if its arguments pass all `tests`."""

    number: int
    tests: tuple[Test, ...] = ()

    def code(self) -> list[Instruction]:
        """Instructions that decide about this call, and go on behind themselves for any other."""
        body: list[Instruction] = [_return(_ALLOW), _return(_REFUSE)]
        for test in reversed(self.tests):
            body = test.code(refuse=len(body) - 1) + body
        return [(_JUMP_EQUAL, 0, len(body), self.number), *body]


def allow_only(calls: Iterable[Call]) -> list[Instruction]:
    """A filter that refuses all other calls, and every call by the ABIs of 32 bits and x32."""
    return [
        _load(_ARCH),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        _return(_REFUSE),
        _load(_NUMBER),
        *(instruction for call in calls for instruction in call.code()),
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
    if _libc.syscall(_SYS_SECCOMP, _SECCOMP_SET_MODE_FILTER, flags, header) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


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
