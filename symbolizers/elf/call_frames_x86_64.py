"""Registers in unwind information of x86-64: the System V ABI, figure 3.36. See call_frames.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from symbolizers.elf.call_frames import CallFrames, Places
from symbolizers.elf.leb128 import read_sleb
from symbolizers.elf.unwind_rules import (
    RETURN_IN_ARGUMENT,
    UNFOLLOWED,
    CallersFp,
    Cfa,
    of_register,
    packed,
    packed_fp,
)

_ARGUMENT, _FP, _SP, _RETURN = 5, 6, 7, 16
_GENERAL = (0, 1, 2, 3, 4, 5, *range(8, 16))
_WORDS_OF_GENERAL = (10, 12, 11, 5, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0)
"""rax, rdx, rcx, rbx, rsi, rdi and r8 to r15: their numbers in DWARF, and which word of pt_regs each is."""
_RETURN_OFFSET = -8
_NOWHERE, _BELOW_CFA, _IN_ARGUMENT = range(3)
"""Where the return address is, as far as a row can say."""

# DW_OP_breg6, DW_OP_breg7, DW_OP_deref, DW_OP_plus_uconst; and the expressions of entries of the PLT.
_BREG_FP, _BREG_SP, _DEREF, _PLUS = 0x76, 0x77, 0x06, 0x23
_PLT = {bytes((0x77, 8, 0x80, 0, 0x3F, 0x1A, 0x30 + last, 0x2A, 0x33, 0x24, 0x22)): 8 for last in (10, 11)}
"""breg7 8; breg16 0; lit15; and; lit11 (or 10); ge; lit3; shl; plus."""


class X86CallFrames(CallFrames):
    """`Places` are the frame pointer's part of a packed rule, and where the return address is."""

    return_address = _RETURN
    initial = (0, _BELOW_CFA)
    cfa_of_register: ClassVar[Mapping[int, int]] = {
        _SP: Cfa.STACK_POINTER,
        _FP: Cfa.FRAME_POINTER,
        **{number: of_register(word) for number, word in zip(_GENERAL, _WORDS_OF_GENERAL, strict=True)},
    }

    def packed(self, cfa: int, cfa_offset: int, places: Places) -> int:
        fp, returns_to = places
        if returns_to == _IN_ARGUMENT:
            fp = RETURN_IN_ARGUMENT if not fp else -1
        return packed(cfa, cfa_offset, fp) if returns_to != _NOWHERE else UNFOLLOWED

    def saved(self, places: Places, register: int, offset: int) -> Places:
        fp, returns_to = places
        if register == _FP:
            fp = packed_fp(CallersFp.AT_CFA, offset)
        elif register == _RETURN:
            returns_to = _BELOW_CFA if offset == _RETURN_OFFSET else _NOWHERE
        return fp, returns_to

    def restored(self, places: Places, register: int, begun: Places) -> Places:
        fp, returns_to = places
        if register == _FP:
            fp = begun[0]
        elif register == _RETURN:
            returns_to = begun[1]
        return fp, returns_to

    def lost(self, places: Places, register: int) -> Places:
        """Without a caller's frame pointer its caller may be found."""
        return places if register != _RETURN else (places[0], _NOWHERE)

    def saved_by(self, places: Places, register: int, expression: bytes) -> Places:
        if register == _FP and expression[:1] == bytes((_BREG_FP,)):
            offset, at = read_sleb(expression, 1)
            if at == len(expression):
                return packed_fp(CallersFp.AT_FRAME_POINTER, offset), places[1]
        return self.lost(places, register)

    def moved(self, places: Places, register: int, source: int) -> Places:
        if (register, source) == (_RETURN, _ARGUMENT):
            return places[0], _IN_ARGUMENT
        return self.lost(places, register)

    def cfa_of(self, expression: bytes) -> tuple[int, int]:
        if expression in _PLT:
            return Cfa.PLT, _PLT[expression]
        if expression[:1] in (bytes((_BREG_FP,)), bytes((_BREG_SP,))):
            offset, at = read_sleb(expression, 1)
            if expression[0] == _BREG_FP and expression[at:] == bytes((_DEREF,)):
                return Cfa.AT_FRAME_POINTER, offset
            if expression[0] == _BREG_SP and expression[at:] == bytes((_DEREF, _PLUS, 8)):
                return Cfa.ABOVE_STACK_POINTER, offset
        return Cfa.UNKNOWN, 0
