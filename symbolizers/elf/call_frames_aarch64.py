"""Registers in unwind information of aarch64: "DWARF for the Arm 64-bit Architecture". See call_frames.py.

A call leaves the return address in x30, the link register. A function that calls others saves it, next to the
frame pointer as a rule. A row has no room for two places that have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from symbolizers.elf.call_frames import CallFrames, Places
from symbolizers.elf.unwind_rules import UNFOLLOWED, Cfa, SavedPair, of_register, packed, packed_fp

_FP, _LINK, _SP = 29, 30, 31
_GENERAL = range(15)
"""x0 to x14; each is the word of that number in pt_regs."""
_IN_REGISTER = 1
"""No offset: these are multiples of 8, or make a rule that nobody follows."""
_NOWHERE = 2
_WORD_BYTES = 8


class Aarch64CallFrames(CallFrames):
    """`Places` are offsets from the CFA (bytes) of the frame pointer and of the return address."""

    return_address = _LINK
    initial = (_IN_REGISTER, _IN_REGISTER)
    cfa_of_register: ClassVar[Mapping[int, int]] = {
        _SP: Cfa.STACK_POINTER,
        _FP: Cfa.FRAME_POINTER,
        **{number: of_register(number) for number in _GENERAL},
    }
    without_operands = (0x2C, 0x2D)
    """The return address is signed from here on, or no longer (AARCH64_negate_ra_state, … with_pc)."""

    def packed(self, cfa: int, cfa_offset: int, places: Places) -> int:
        fp, link = places
        if fp == link == _IN_REGISTER:
            return packed(cfa, cfa_offset, packed_fp(SavedPair.IN_REGISTERS, 0))
        if fp == _IN_REGISTER:
            return packed(cfa, cfa_offset, packed_fp(SavedPair.RETURN_AT_CFA, link))
        if link == fp + _WORD_BYTES:
            return packed(cfa, cfa_offset, packed_fp(SavedPair.BOTH_AT_CFA, fp))
        return UNFOLLOWED

    def saved(self, places: Places, register: int, offset: int) -> Places:
        return self._at(places, register, offset if not offset % _WORD_BYTES else _NOWHERE)

    def restored(self, places: Places, register: int, begun: Places) -> Places:
        return self._at(places, register, begun[register == _LINK])

    def lost(self, places: Places, register: int) -> Places:
        return self._at(places, register, _NOWHERE)

    def _at(self, places: Places, register: int, offset: int) -> Places:
        if register == _FP:
            return offset, places[1]
        return (places[0], offset) if register == _LINK else places
