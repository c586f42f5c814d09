"""The rows of one function, out of the instructions of its entry in .eh_frame or .debug_frame.

Format: DWARF 5, 6.4.2; register numbers: the System V ABI for x86-64, figure 3.36. What a row says is in
unwind_rules.py.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from symbolizers.elf.leb128 import read_sleb, read_uleb
from symbolizers.elf.unwind_rules import (
    RETURN_IN_ARGUMENT,
    ROOT,
    UNFOLLOWED,
    CallersFp,
    Cfa,
    of_register,
    packed,
    packed_fp,
)

_ARGUMENT, _FP, RETURN = 5, 6, 16
_GENERAL = (0, 1, 2, 3, 4, 5, *range(8, 16))
_WORDS_OF_GENERAL = (10, 12, 11, 5, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0)
"""rax, rdx, rcx, rbx, rsi, rdi and r8 to r15: their numbers in DWARF, and which word of pt_regs each is."""
_CFA_OF_REGISTER = {
    7: Cfa.STACK_POINTER,
    _FP: Cfa.FRAME_POINTER,
    **{number: of_register(word) for number, word in zip(_GENERAL, _WORDS_OF_GENERAL, strict=True)},
}
_RETURN_OFFSET = -8
_ADVANCE, _OFFSET = 0x40, 0x80
"""The instructions whose lower six bits are a number; the third one restores a register."""
_DEF_CFA_OFFSET = 0x0E

# DW_OP_breg6, DW_OP_breg7, DW_OP_deref, DW_OP_plus_uconst; and the expressions of entries of the PLT.
_BREG_FP, _BREG_SP, _DEREF, _PLUS = 0x76, 0x77, 0x06, 0x23
_PLT = {bytes((0x77, 8, 0x80, 0, 0x3F, 0x1A, 0x30 + last, 0x2A, 0x33, 0x24, 0x22)): 8 for last in (10, 11)}
"""breg7 8; breg16 0; lit15; and; lit11 (or 10); ge; lit3; shl; plus."""


class Cie(NamedTuple):
    """What the entries of many functions have in common."""

    code_alignment: int
    data_alignment: int
    pointers: int
    """The encoding of addresses."""
    has_data: bool
    """Whether each entry has augmentation data."""
    signal: bool
    instructions: bytes


class BrokenEntry(Exception):
    """An entry contradicts itself."""


def run(cie: Cie, instructions: bytes) -> array[int]:
    """The rows of one function: distances from its start, and rules in force from there on."""
    machine = _Machine(cie)
    machine.run(cie.instructions)
    machine.begin()
    machine.run(instructions)
    machine.end()
    return machine.rows


_NOWHERE, _BELOW_CFA, _IN_ARGUMENT = range(3)
"""Where the return address is, as far as a row can say."""
_State = tuple[int, int, int, bool, int]
"""As in `_Machine`: cfa, cfa_offset, fp, is_root, returns_to."""


class _Machine:
    """Follows the instructions of one entry. One that it does not know breaks the entry."""

    def __init__(self, cie: Cie) -> None:
        self.rows = array("Q")
        self._cie = cie
        self._distance = 0
        self._cfa = int(Cfa.UNKNOWN)
        self._cfa_offset = 0
        self._fp = 0
        """Its part of a packed rule."""
        self._is_root = False
        self._returns_to = _BELOW_CFA
        self._initial = self._state()
        self._remembered: list[_State] = []

    def begin(self) -> None:
        """What came so far is what registers are restored to."""
        self._initial = self._state()

    def end(self) -> None:
        """Puts the last row in."""
        self._row()

    def run(self, code: bytes) -> None:
        """Raises `BrokenEntry`, IndexError or `Malformed`."""
        at, end = 0, len(code)
        align, scale = self._cie.code_alignment, self._cie.data_alignment
        while at < end:
            operation = code[at]
            at += 1
            high, low = operation & 0xC0, operation & 0x3F
            if high == _ADVANCE:
                self._advance(low * align)
            elif operation == _DEF_CFA_OFFSET:
                self._cfa_offset, at = read_uleb(code, at)
            elif high == _OFFSET:
                offset, at = read_uleb(code, at)
                self._save(low, offset * scale)
            elif high:
                self._restore(low)
            elif low:
                at = self._other(low, code, at)

    def _other(self, operation: int, code: bytes, at: int) -> int:
        """The less frequent instructions. Returns the index of the next one."""
        if operation in (0x02, 0x03, 0x04):  # advance_loc1, 2, 4
            size = 1 << (operation - 2)
            self._advance(int.from_bytes(code[at : at + size], "little") * self._cie.code_alignment)
            return at + size
        if operation == 0x0A:  # remember_state
            self._remembered.append(self._state())
            return at
        if operation == 0x0B:  # restore_state
            if not self._remembered:
                raise BrokenEntry
            self._cfa, self._cfa_offset, self._fp, self._is_root, self._returns_to = self._remembered.pop()
            return at
        if operation in (0x0C, 0x0D, 0x12, 0x13, 0x0F):
            return self._define_cfa(operation, code, at)
        if operation == 0x2E:  # GNU_args_size
            return read_uleb(code, at)[1]
        return self._of_register(operation, code, at)

    def _define_cfa(self, operation: int, code: bytes, at: int) -> int:
        if operation == 0x0F:  # def_cfa_expression
            expression, at = _block(code, at)
            self._cfa, self._cfa_offset = _cfa_of(expression)
            return at
        if operation != 0x13:  # def_cfa, def_cfa_register, def_cfa_sf
            register, at = read_uleb(code, at)
            self._cfa = _CFA_OF_REGISTER.get(register, Cfa.UNKNOWN)
        if operation == 0x0C:
            self._cfa_offset, at = read_uleb(code, at)
        elif operation != 0x0D:  # def_cfa_sf, def_cfa_offset_sf
            offset, at = read_sleb(code, at)
            self._cfa_offset = offset * self._cie.data_alignment
        return at

    def _of_register(self, operation: int, code: bytes, at: int) -> int:
        scale = self._cie.data_alignment
        register, at = read_uleb(code, at)
        match operation:
            case 0x05:  # offset_extended
                offset, at = read_uleb(code, at)
                self._save(register, offset * scale)
            case 0x11:  # offset_extended_sf
                offset, at = read_sleb(code, at)
                self._save(register, offset * scale)
            case 0x2F:  # GNU_negative_offset_extended
                offset, at = read_uleb(code, at)
                self._save(register, -offset * scale)
            case 0x06 | 0x08:  # restore_extended, same_value
                self._restore(register)
            case 0x07:  # undefined
                self._is_root = self._is_root or register == RETURN
            case 0x09:  # register
                source, at = read_uleb(code, at)
                self._lose(register)
                if register == RETURN and source == _ARGUMENT:
                    self._returns_to = _IN_ARGUMENT
            case 0x14 | 0x15:  # val_offset, val_offset_sf
                _, at = read_uleb(code, at)
                self._lose(register)
            case 0x10:  # expression
                expression, at = _block(code, at)
                self._save_by(register, expression)
            case 0x16:  # val_expression
                _, at = _block(code, at)
                self._lose(register)
            case _:
                raise BrokenEntry
        return at

    def _row(self) -> None:
        if self._distance >> 32:
            raise BrokenEntry
        self.rows.append(self._distance << 32 | self._packed())

    def _state(self) -> _State:
        return self._cfa, self._cfa_offset, self._fp, self._is_root, self._returns_to

    def _packed(self) -> int:
        """The rule in force, as a row has it."""
        if self._is_root:
            return ROOT
        fp = self._fp
        if self._returns_to == _IN_ARGUMENT:
            fp = RETURN_IN_ARGUMENT if not fp else -1
        return packed(self._cfa, self._cfa_offset, fp) if self._returns_to != _NOWHERE else UNFOLLOWED

    def _advance(self, distance: int) -> None:
        if distance:
            self._row()
            self._distance += distance

    def _save(self, register: int, offset: int) -> None:
        if register == _FP:
            self._fp = packed_fp(CallersFp.AT_CFA, offset)
        elif register == RETURN:
            self._returns_to, self._is_root = _BELOW_CFA if offset == _RETURN_OFFSET else _NOWHERE, False

    def _save_by(self, register: int, expression: bytes) -> None:
        """The register lies in memory where `expression` says."""
        if register == _FP and expression[:1] == bytes((_BREG_FP,)):
            offset, at = read_sleb(expression, 1)
            if at == len(expression):
                self._fp = packed_fp(CallersFp.AT_FRAME_POINTER, offset)
                return
        self._lose(register)

    def _restore(self, register: int) -> None:
        if register == _FP:
            self._fp = self._initial[2]
        elif register == RETURN:
            self._is_root, self._returns_to = self._initial[3:]

    def _lose(self, register: int) -> None:
        """The register is where no row can say. Without a caller's frame pointer its caller may be found."""
        if register == RETURN:
            self._returns_to = _NOWHERE


def _block(code: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_uleb(code, at)
    if at + size > len(code):
        raise BrokenEntry
    return code[at : at + size], at + size


def _cfa_of(expression: bytes) -> tuple[int, int]:
    """What a row says instead of an expression for the CFA, and its offset."""
    if expression in _PLT:
        return Cfa.PLT, _PLT[expression]
    if expression[:1] in (bytes((_BREG_FP,)), bytes((_BREG_SP,))):
        offset, at = read_sleb(expression, 1)
        if expression[0] == _BREG_FP and expression[at:] == bytes((_DEREF,)):
            return Cfa.AT_FRAME_POINTER, offset
        if expression[0] == _BREG_SP and expression[at:] == bytes((_DEREF, _PLUS, 8)):
            return Cfa.ABOVE_STACK_POINTER, offset
    return Cfa.UNKNOWN, 0
