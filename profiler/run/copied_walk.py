"""Follows a user stack in its copy, from where the sampler lacked an unwind table. Pure.

As profiler/bpf/unwind.h does in the thread itself, by the same rules. Registers and copy are what a target
has in them: every address may lie, each frame takes a bounded number of reads, and so many frames end it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec.structs import replace

from profiler.capture.header import read_header
from profiler.capture.records import RawSample
from profiler.capture.wire import UserEnd
from profiler.run.stacks import CodeMap, NativeAddress
from symbolizers.elf.unwind_rules import (
    KEEPS_SP,
    ROOT,
    CallersFp,
    Cfa,
    Rule,
    keeps_sp,
    needs_register,
    unpacked,
)
from symbolizers.frame import Frame

_MOST_FRAMES = read_header("records.h").defines["MAX_USER_FRAMES"]
_MOST_STACK_BYTES = 64 << 20
_PLT_PUSHED, _PLT_MASK = 11, 15
_SIGNAL_FP, _SIGNAL_SP, _SIGNAL_IP = 120, 160, 168
"""In struct ucontext, as in arch_x86_64.h."""
_ADDRESS = (1 << 64) - 1
_WORD = struct.Struct("<Q")

FindRule = Callable[[NativeAddress], "int | None"]
"""The rule at a place; None if the table of its file is not there."""


class _NotCopied(Exception):
    """What is read next is not in the copy."""


class CopiedWalk:
    """One sample with a copy of its stack. Lifetime: until it has been followed to its end."""

    def __init__(self, sample: RawSample, code: CodeMap) -> None:
        """`code`: what the process had mapped."""
        copy = sample.copy
        assert copy is not None
        self.sample = sample
        self.code = code
        self._argument = copy.argument
        self._start, self._content = copy.sp, copy.content
        self._ip, self._sp, self._fp, self._is_exact = copy.ip, copy.sp, copy.fp, copy.is_exact
        self._user = list(sample.user[: copy.frames])
        self._place: NativeAddress | Frame | None = code.find(self._address()) if self._user else None
        self._end: UserEnd | None = None if self._place is not None else UserEnd.FAULT

    def go_on(self, find_rule: FindRule) -> NativeAddress | None:
        """Follows it as far as tables are there: to its end, or to the place whose rule nobody knows yet."""
        try:
            while self._end is None:
                if isinstance(self._place, NativeAddress):
                    rule = find_rule(self._place)
                    if rule is None:
                        return self._place
                    self._end = self._step(rule)
                else:
                    self._end = self._step(Cfa.UNKNOWN)
                if self._end is None:
                    self._end = self._take()
        except _NotCopied:
            self._end = UserEnd.FAULT
        return None

    def result(self) -> RawSample:
        """The sample with the stack that was found; as it was, if that did not get to its end."""
        if self._end is None or self._end is UserEnd.FAULT:
            return replace(self.sample, copy=None)
        user = tuple(self._user)
        return replace(self.sample, user=user, user_end=int(self._end), lacks_table=False, copy=None)

    def size_bytes(self) -> int:
        """Of the copy."""
        return len(self._content)

    def _address(self) -> int:
        """In the instruction that runs: a return address may be the first byte of the next function."""
        return (self._ip - (not self._is_exact)) & _ADDRESS

    def _take(self) -> UserEnd | None:
        """Takes the frame at hand; returns how the stack ends, if it does."""
        if not self._ip:
            return UserEnd.ROOT
        if len(self._user) >= _MOST_FRAMES:
            return UserEnd.DEEP
        address = self._address()
        self._place = self.code.find(address)
        if self._place is None:
            return UserEnd.LOST
        self._user.append((address + 1) & _ADDRESS)
        return None

    def _step(self, rule: int) -> UserEnd | None:
        """Goes on to the caller; returns how the stack ends, if it does."""
        found = unpacked(rule)
        if not rule or keeps_sp(rule):
            return self._step_by_frame_pointer(found)
        if found.cfa is Cfa.UNKNOWN:
            if len(self._user) == 1 and needs_register(rule):
                raise _NotCopied
            return UserEnd.LOST
        if found.cfa is Cfa.ELSEWHERE:
            return UserEnd.ROOT if rule == ROOT else UserEnd.FAULT
        if found.cfa is Cfa.SIGNAL:
            sp, self._is_exact = self._sp, True
            self._fp = self._read(sp + _SIGNAL_FP)
            self._ip = self._read(sp + _SIGNAL_IP)
            self._sp = self._read(sp + _SIGNAL_SP)
            return None
        return self._step_by_rule(found)

    def _step_by_rule(self, rule: Rule) -> UserEnd | None:
        cfa = self._cfa(rule)
        if rule.returns_to_argument:
            if len(self._user) != 1:
                return UserEnd.LOST
            self._ip, self._sp, self._is_exact = self._argument, cfa, False
            return None
        if cfa < (self._sp + (len(self._user) > 1)) & _ADDRESS and rule.fp is not CallersFp.AT_CFA_ELSEWHERE:
            return UserEnd.LOST
        base = self._fp if rule.fp is CallersFp.AT_FRAME_POINTER else cfa
        self._ip, self._sp, self._is_exact = self._read(cfa - _WORD.size), cfa, False
        if rule.fp is not CallersFp.IN_REGISTER:
            self._fp = self._read(base + rule.fp_offset)
        return None

    def _cfa(self, rule: Rule) -> int:
        by_fp = rule.cfa in (Cfa.FRAME_POINTER, Cfa.AT_FRAME_POINTER)
        cfa = (self._fp if by_fp else self._sp) + rule.cfa_offset
        if rule.cfa is Cfa.PLT and self._ip & _PLT_MASK >= _PLT_PUSHED:
            cfa += _WORD.size
        if rule.cfa in (Cfa.AT_FRAME_POINTER, Cfa.ABOVE_STACK_POINTER):
            cfa = self._read(cfa)
        if rule.cfa is Cfa.ABOVE_STACK_POINTER:
            cfa += _WORD.size
        return cfa & _ADDRESS

    def _step_by_frame_pointer(self, rule: Rule) -> UserEnd | None:
        fp, self._is_exact = self._fp, False
        if not fp:
            return UserEnd.ROOT
        if (fp - self._sp) & _ADDRESS >= _MOST_STACK_BYTES:
            return UserEnd.LOST
        self._fp, self._ip = self._read(fp), self._read(fp + _WORD.size)
        self._sp = (fp + 2 * _WORD.size) & _ADDRESS
        if rule.cfa is KEEPS_SP:
            self._sp = self._read(fp + rule.cfa_offset)
        return None

    def _read(self, address: int) -> int:
        """The word there. Raises `_NotCopied`."""
        at = (address - self._start) & _ADDRESS
        if at + _WORD.size > len(self._content):
            raise _NotCopied
        (word,) = _WORD.unpack_from(self._content, at)
        return int(word)
