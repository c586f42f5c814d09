"""The rows of one function, out of the instructions of its entry in .eh_frame or .debug_frame.

Format: DWARF 5, 6.4.2. What the registers are is for each architecture to say (call_frames_x86_64.py,
call_frames_aarch64.py); what a row says is in unwind_rules.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, TypeAlias

from symbolizers.elf.leb128 import read_sleb, read_uleb
from symbolizers.elf.unwind_rules import ROOT, Cfa

_ADVANCE, _OFFSET = 0x40, 0x80
"""The instructions whose lower six bits are a number; the third one restores a register."""
_DEF_CFA_OFFSET = 0x0E


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


Places: TypeAlias = "tuple[int, ...]"
"""Where the caller's registers are, as far as a row can say; what each number means is the architecture's."""


class CallFrames(ABC):
    """Follows the instructions of one entry. One that it does not know breaks the entry."""

    return_address: ClassVar[int]
    """The number of the register, or of the column, that has the return address."""
    cfa_of_register: ClassVar[Mapping[int, int]]
    """What a row says of a CFA that is told by a register; nothing of all others."""
    initial: ClassVar[Places]
    """Where the caller's registers are before any instruction."""
    without_operands: ClassVar[tuple[int, ...]] = ()
    """The architecture's own instructions, which change no row."""

    def __init__(self, cie: Cie) -> None:
        self.rows = array("Q")
        self._cie = cie
        self._distance = 0
        self._cfa = int(Cfa.UNKNOWN)
        self._cfa_offset = 0
        self._is_root = False
        self._places = self.initial
        self._begun = self._state()
        self._remembered: list[tuple[int, int, bool, Places]] = []

    @abstractmethod
    def packed(self, cfa: int, cfa_offset: int, places: Places) -> int:
        """A row's rule; the CFA as `cfa_of_register` has it."""

    @abstractmethod
    def saved(self, places: Places, register: int, offset: int) -> Places:
        """The `places` once the register lies in memory at the CFA and `offset`."""

    @abstractmethod
    def restored(self, places: Places, register: int, begun: Places) -> Places:
        """The `places` once the register is where it was in `begun`."""

    @abstractmethod
    def lost(self, places: Places, register: int) -> Places:
        """The `places` once the register is where no row can say."""

    def saved_by(self, places: Places, register: int, expression: bytes) -> Places:
        """The `places` once the register lies in memory where `expression` says."""
        del expression
        return self.lost(places, register)

    def moved(self, places: Places, register: int, source: int) -> Places:
        """The `places` once the register is in `source`, another one."""
        del source
        return self.lost(places, register)

    def cfa_of(self, expression: bytes) -> tuple[int, int]:
        """What a row says instead of an expression for the CFA, and its offset."""
        del expression
        return Cfa.UNKNOWN, 0

    @classmethod
    def rows_of(cls, cie: Cie, instructions: bytes) -> array[int]:
        """The rows of one function: distances from its start, and rules in force from there on.

        Raises `BrokenEntry`, IndexError or `Malformed`.
        """
        frames = cls(cie)
        frames._run(cie.instructions)
        frames._begun = frames._state()
        frames._run(instructions)
        frames._row()
        return frames.rows

    def _run(self, code: bytes) -> None:
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
            self._cfa, self._cfa_offset, self._is_root, self._places = self._remembered.pop()
            return at
        if operation in self.without_operands:
            return at
        if operation in (0x0C, 0x0D, 0x12, 0x13, 0x0F):
            return self._define_cfa(operation, code, at)
        if operation == 0x2E:  # GNU_args_size
            return read_uleb(code, at)[1]
        return self._of_register(operation, code, at)

    def _define_cfa(self, operation: int, code: bytes, at: int) -> int:
        if operation == 0x0F:  # def_cfa_expression
            expression, at = _block(code, at)
            self._cfa, self._cfa_offset = self.cfa_of(expression)
            return at
        if operation != 0x13:  # def_cfa, def_cfa_register, def_cfa_sf
            register, at = read_uleb(code, at)
            self._cfa = self.cfa_of_register.get(register, Cfa.UNKNOWN)
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
                self._is_root = self._is_root or register == self.return_address
            case 0x09:  # register
                source, at = read_uleb(code, at)
                self._places = self.moved(self._places, register, source)
            case 0x14 | 0x15:  # val_offset, val_offset_sf
                _, at = read_uleb(code, at)
                self._places = self.lost(self._places, register)
            case 0x10:  # expression
                expression, at = _block(code, at)
                self._places = self.saved_by(self._places, register, expression)
            case 0x16:  # val_expression
                _, at = _block(code, at)
                self._places = self.lost(self._places, register)
            case _:
                raise BrokenEntry
        return at

    def _row(self) -> None:
        if self._distance >> 32:
            raise BrokenEntry
        rule = ROOT if self._is_root else self.packed(self._cfa, self._cfa_offset, self._places)
        self.rows.append(self._distance << 32 | rule)

    def _state(self) -> tuple[int, int, bool, Places]:
        return self._cfa, self._cfa_offset, self._is_root, self._places

    def _advance(self, distance: int) -> None:
        if distance:
            self._row()
            self._distance += distance

    def _save(self, register: int, offset: int) -> None:
        self._places = self.saved(self._places, register, offset)
        if register == self.return_address:
            self._is_root = False

    def _restore(self, register: int) -> None:
        *_, is_root, begun = self._begun
        self._places = self.restored(self._places, register, begun)
        if register == self.return_address:
            self._is_root = is_root


def _block(code: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_uleb(code, at)
    if at + size > len(code):
        raise BrokenEntry
    return code[at : at + size], at + size
