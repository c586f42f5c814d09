"""How to get from a function to its caller, at every instruction of a file: a table (section .eh_frame).

Format: Linux Standard Base, Core, "Exception Frames", and DWARF 5, 6.4; register numbers: the System V ABI
for x86-64, figure 3.36. What a row says is in unwind_rules.py.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from symbolizers.elf.leb128 import read_sleb, read_uleb
from symbolizers.elf.unwind_rules import (
    RETURN_IN_ARGUMENT,
    ROOT,
    UNFOLLOWED,
    CallersFp,
    Cfa,
    FunctionRows,
    of_register,
    packed,
    packed_fp,
)
from symbolizers.errors import Malformed

MOST_BYTES = 24 << 20
"""Of a section; node's has 3 MB, and a browser's 10."""
_MOST_FUNCTIONS = 1 << 19


def read_functions(data: bytes, address: int) -> Iterator[FunctionRows]:
    """The functions in a .eh_frame of this content that the file loads at `address`, and their rows.

    Functions whose entry is broken are left out. Raises `Malformed` where entries can't be told apart. `data`
    should have `MOST_BYTES` at most.
    """
    return islice(_Reader(data, address).functions(), _MOST_FUNCTIONS)


_ARGUMENT, _FP, _RETURN = 5, 6, 16
_WORDS_OF_REGISTERS = {
    0: 10,
    1: 12,
    2: 11,
    3: 5,
    4: 13,
    5: 14,
    8: 9,
    9: 8,
    10: 7,
    11: 6,
    12: 3,
    13: 2,
    14: 1,
    15: 0,
}
"""In pt_regs, by the number in DWARF: rax, rdx, rcx, rbx, rsi, rdi, r8 to r15."""
_CFA_OF_REGISTER = {number: of_register(word) for number, word in _WORDS_OF_REGISTERS.items()} | {
    7: Cfa.STACK_POINTER,
    _FP: Cfa.FRAME_POINTER,
}
_RETURN_OFFSET = -8
_ADVANCE, _OFFSET = 0x40, 0x80
"""The instructions whose lower six bits are a number; the third one restores a register."""
_DEF_CFA_OFFSET = 0x0E
_U32 = struct.Struct("<I")
_FIXED: Mapping[int, struct.Struct] = {
    0x00: struct.Struct("<Q"),
    0x02: struct.Struct("<H"),
    0x03: _U32,
    0x04: struct.Struct("<Q"),
    0x0A: struct.Struct("<h"),
    0x0B: struct.Struct("<i"),
    0x0C: struct.Struct("<q"),
}
"""Formats of addresses (the lower half of a DW_EH_PE encoding) that have a fixed size."""
_RELATIVE = 0x10
_OMITTED = 0xFF
_WORD_LIMIT = 1 << 64

# DW_OP_breg6, DW_OP_breg7, DW_OP_deref, DW_OP_plus_uconst; and the expressions of entries of the PLT.
_BREG_FP, _BREG_SP, _DEREF, _PLUS = 0x76, 0x77, 0x06, 0x23
_PLT = {bytes((0x77, 8, 0x80, 0, 0x3F, 0x1A, 0x30 + last, 0x2A, 0x33, 0x24, 0x22)): 8 for last in (10, 11)}
"""breg7 8; breg16 0; lit15; and; lit11 (or 10); ge; lit3; shl; plus."""


class _Cie(NamedTuple):
    """What the entries of many functions have in common."""

    code_alignment: int
    data_alignment: int
    pointers: int
    """The encoding of addresses."""
    has_data: bool
    """Whether each entry has augmentation data."""
    signal: bool
    instructions: bytes


class _Broken(Exception):
    """An entry contradicts itself."""


class _Reader:
    """Reads one section. Equal instructions give equal rows, and most functions have them from others."""

    def __init__(self, data: bytes, address: int) -> None:
        self._data = data
        self._address = address
        self._cies: dict[int, _Cie | None] = {}
        self._programs: dict[tuple[int, bytes], array[int]] = {}
        """Rows by CIE and instructions: the distance from the start (upper half) and the rule of each."""

    def functions(self) -> Iterator[FunctionRows]:
        """Each function that has an entry."""
        data, size, at = self._data, len(self._data), 0
        while at + 8 <= size:
            length, cie_distance = struct.unpack_from("<II", data, at)
            end = at + 4 + length
            if not length:
                return
            if length < 4 or end > size:
                raise Malformed(f"an entry of {length} bytes at {at:#x} of an .eh_frame of {size}")
            if cie_distance:
                try:
                    function = self._function(at + 8, end, at + 4 - cie_distance)
                except (_Broken, struct.error, IndexError, Malformed):
                    function = None
                if function is not None:
                    yield function
            at = end

    def _function(self, at: int, end: int, cie_at: int) -> FunctionRows | None:
        cie = self._cie(cie_at)
        if cie is None:
            return None
        start, at = self._pointer(at, cie.pointers)
        size, at = self._pointer(at, cie.pointers & 0x0F)
        if cie.has_data:
            length, at = read_uleb(self._data, at)
            at += length
        if at > end or size <= 0 or start + size >= _WORD_LIMIT:
            return None
        instructions = self._data[at:end]
        key = (cie_at, instructions)
        rows = self._programs.get(key)
        if rows is None:
            rows = array("Q", [Cfa.SIGNAL]) if cie.signal else _run(cie, instructions)
            self._programs[key] = rows
        return start, start + size, rows

    def _cie(self, at: int) -> _Cie | None:
        if at not in self._cies:
            try:
                self._cies[at] = self._read_cie(at)
            except (_Broken, struct.error, IndexError, Malformed):
                self._cies[at] = None
        return self._cies[at]

    def _read_cie(self, at: int) -> _Cie:
        data = self._data
        if at < 0:
            raise _Broken
        length, identity, version = struct.unpack_from("<IIB", data, at)
        end = at + 4 + length
        if identity or version not in (1, 3) or end > len(data):
            raise _Broken
        text_end = data.index(b"\0", at + 9, end) if b"\0" in data[at + 9 : end] else end
        augmentation = data[at + 9 : text_end]
        code_alignment, at = read_uleb(data, text_end + 1)
        data_alignment, at = read_sleb(data, at)
        returns_to, at = read_uleb(data, at)
        pointers, instructions_at = 0, at
        if augmentation.startswith(b"z"):
            size, at = read_uleb(data, at)
            instructions_at = at + size
            for letter in augmentation[1:]:
                if letter == ord("R"):
                    pointers, at = data[at], at + 1
                elif letter == ord("L"):
                    at += 1
                elif letter == ord("P"):
                    _, at = self._pointer(at + 1, data[at] & 0x7F)
                elif letter != ord("S"):
                    break
        elif augmentation:
            raise _Broken
        if returns_to != _RETURN:
            raise _Broken
        return _Cie(
            code_alignment,
            data_alignment,
            pointers,
            augmentation.startswith(b"z"),
            b"S" in augmentation,
            data[instructions_at:end],
        )

    def _pointer(self, at: int, encoding: int) -> tuple[int, int]:
        form = _FIXED.get(encoding & 0x0F)
        if form is None or encoding & 0x70 not in (0, _RELATIVE) or encoding == _OMITTED:
            raise _Broken
        (value,) = form.unpack_from(self._data, at)
        if encoding & 0x70:
            value += self._address + at
        return value, at + form.size


def _run(cie: _Cie, instructions: bytes) -> array[int]:
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

    def __init__(self, cie: _Cie) -> None:
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
        """Raises `_Broken`, IndexError or `Malformed`."""
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
                raise _Broken
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
                self._is_root = self._is_root or register == _RETURN
            case 0x09:  # register
                source, at = read_uleb(code, at)
                self._lose(register)
                if register == _RETURN and source == _ARGUMENT:
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
                raise _Broken
        return at

    def _row(self) -> None:
        if self._distance >> 32:
            raise _Broken
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
        elif register == _RETURN:
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
        elif register == _RETURN:
            self._is_root, self._returns_to = self._initial[3:]

    def _lose(self, register: int) -> None:
        """The register is where no row can say. Without a caller's frame pointer its caller may be found."""
        if register == _RETURN:
            self._returns_to = _NOWHERE


def _block(code: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_uleb(code, at)
    if at + size > len(code):
        raise _Broken
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
