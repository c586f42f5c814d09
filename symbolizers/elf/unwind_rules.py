"""Unwind rules as the sampler in the kernel reads them, and tables of them.

A row holds what it needs: where the CFA is (the canonical frame address: the stack pointer before the call)
and where the caller's frame pointer is. The return address is right below the CFA, or, in vfork, in the
register of an argument. Any other register may tell the CFA of the interrupted function alone: of its callers
nobody knows it, and the stack ends there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from symbolizers.errors import Malformed

MOST_ROWS = 1 << 20
"""As many as the sampler finds one of in its 20 steps; node, a file of 99 MB, has 0.4 million."""
_WORD_SHIFT = 3
_CFA_SHIFT, _FP_SHIFT, _FP_OFFSET_SHIFT = 3, 18, 20
_CFA_KIND, _CFA_BITS, _FP_KIND, _FP_BITS = 7, 15, 3, 12
_CFA_MASK = ((1 << _CFA_BITS) - 1) << _CFA_SHIFT
_CFA_LIMIT, _FP_LIMIT, _REGISTER_LIMIT = 1 << 17, 1 << 14, 1 << 13
"""Offsets in bytes."""
_REGISTER_MASK, _REGISTER_OFFSET_SHIFT = 15, 7
_REGISTER_OFFSET_MASK = 0x7FF << _REGISTER_OFFSET_SHIFT
_LINK_BITS, _LINKS = 7, 4
_MOST_UNPACKED = 1024


class Cfa(IntEnum):
    """How a row tells the CFA. As `enum cfa` in profiler/bpf/unwind.h."""

    UNKNOWN = 0
    """There is no rule, if all else is 0. Else it is `UNFOLLOWED`, or told `of_register`."""
    STACK_POINTER = 1
    """The stack pointer and an offset."""
    FRAME_POINTER = 2
    """The frame pointer and an offset."""
    PLT = 3
    """The stack pointer and 8, or 16 from the eleventh byte of a PLT entry of 16 bytes on."""
    AT_FRAME_POINTER = 4
    """It lies in memory, at the frame pointer and an offset."""
    ABOVE_STACK_POINTER = 5
    """It is 8 more than what lies in memory at the stack pointer and an offset."""
    SIGNAL = 6
    """All registers lie on the stack, where the kernel put them to call a signal handler.

    With an offset it is `KEEPS_SP`."""
    ELSEWHERE = 7
    """On another stack, to which pointers lead: `packed_links`. Without these nothing called the function."""


class CallersFp(IntEnum):
    """Where a row says that the caller's frame pointer is. As `enum callers_fp` in profiler/bpf/unwind.h."""

    IN_REGISTER = 0
    """Where it was: this function did not change it."""
    AT_CFA = 1
    """In memory, at the CFA and an offset."""
    AT_FRAME_POINTER = 2
    """In memory, at the frame pointer and an offset."""
    AT_CFA_ELSEWHERE = 3
    """As AT_CFA, and the CFA may be on another stack, at a lower address."""


class SavedPair(IntEnum):
    """Where a row of an aarch64 file says that the caller's frame pointer and the return address are.

    It stands in the place of `CallersFp`; the return address is not below the CFA there.
    """

    IN_REGISTERS = 0
    """Where they were: this function did not change them."""
    BOTH_AT_CFA = 1
    """The frame pointer in memory, at the CFA and an offset, and the return address in the word behind it."""
    RETURN_AT_CFA = 2
    """The return address in memory, at the CFA and an offset; the frame pointer is where it was."""


ROOT = int(Cfa.ELSEWHERE)
"""The rule of a function that nothing called."""
UNFOLLOWED = 1 << _REGISTER_OFFSET_SHIFT
"""The rule where the file says how to get to the caller, and no row can: the stack ends there, partial."""


KEEPS_SP = Cfa.SIGNAL
"""The kind of a rule with an offset other than 0: the frame pointer leads to the caller's and to the return
address behind it, and the caller's stack pointer lies in memory, at the frame pointer and that offset."""

AWAITED = 2 << _REGISTER_OFFSET_SHIFT
"""The rule where there was no code yet when a table of generated code was made: the next one may say more."""


def of_register(word: int) -> int:
    """The kind of a CFA that is told by a register of the interrupted code, a word (0 to 14) of pt_regs."""
    return Cfa.UNKNOWN | (word + 1) << _CFA_SHIFT


def packed(cfa: int, cfa_offset: int, fp: int) -> int:
    """A rule in 32 bits: the CFA's kind (3 bits), its offset in words (15), and the frame pointer's part.

    Where any other register tells the CFA, it takes 4 of the offset's bits. An offset (in bytes) that finds
    no room makes the rule `UNFOLLOWED`, as does one that is no multiple of a word.
    """
    if cfa == Cfa.UNKNOWN or cfa_offset & 7 or fp < 0:
        return UNFOLLOWED
    shift, mask, limit = _CFA_SHIFT, _CFA_MASK, _CFA_LIMIT
    if cfa & 7 == Cfa.UNKNOWN:
        shift, mask, limit = _REGISTER_OFFSET_SHIFT, _REGISTER_OFFSET_MASK, _REGISTER_LIMIT
    if not -limit <= cfa_offset < limit:
        return UNFOLLOWED
    return cfa | cfa_offset >> _WORD_SHIFT << shift & mask | fp


def packed_fp(kind: CallersFp | SavedPair, offset: int) -> int:
    """The frame pointer's part of a rule: kind (2 bits) and offset in words (12). -1: there is no room."""
    if offset & 7 or not -_FP_LIMIT <= offset < _FP_LIMIT:
        return -1
    return kind << _FP_SHIFT | (offset >> _WORD_SHIFT & 0xFFF) << _FP_OFFSET_SHIFT


def packed_links(links: Sequence[int], *, is_called: bool) -> int:
    """A rule for code that works on another stack than its caller, whose stack pointer is saved in memory.

    The thread pointer less the first of four `links` (bytes) is the address of a pointer, which the second is
    added to, and so on; a null pointer says that nothing called. At the last address the stack pointer is
    saved. If the code was called, the return address is where it points; else it is saved behind it.
    The rule is unknown without links, or where one finds no room in 7 bits, in words.
    """
    if len(links) != _LINKS:
        return Cfa.UNKNOWN
    rule, shift = Cfa.ELSEWHERE | is_called << _CFA_SHIFT, _CFA_SHIFT + 1
    for link in links:
        if link & 7 or not 0 <= link < 1 << (_LINK_BITS + _WORD_SHIFT):
            return Cfa.UNKNOWN
        rule |= link >> _WORD_SHIFT << shift
        shift += _LINK_BITS
    return rule


class Rule(NamedTuple):
    """What is packed into a rule; offsets in bytes. Of ELSEWHERE and UNKNOWN, the kind alone counts."""

    cfa: Cfa
    cfa_offset: int
    fp: CallersFp
    fp_offset: int

    @property
    def returns_to_argument(self) -> bool:
        """As `RETURN_IN_ARGUMENT`."""
        return self.fp is CallersFp.IN_REGISTER and self.fp_offset != 0


@lru_cache(_MOST_UNPACKED)
def unpacked(rule: int) -> Rule:
    """The parts of a rule of 32 bits that `packed` has made."""
    return Rule(
        Cfa(rule & _CFA_KIND),
        _signed(rule >> _CFA_SHIFT, _CFA_BITS) << _WORD_SHIFT,
        CallersFp(rule >> _FP_SHIFT & _FP_KIND),
        _signed(rule >> _FP_OFFSET_SHIFT, _FP_BITS) << _WORD_SHIFT,
    )


def keeps_sp(rule: int) -> bool:
    """Whether it is `KEEPS_SP`."""
    return rule & _CFA_KIND == KEEPS_SP and rule & _CFA_MASK != 0


def needs_register(rule: int) -> bool:
    """Whether a rule whose CFA is UNKNOWN is told `of_register`."""
    return rule >> _CFA_SHIFT & _REGISTER_MASK != 0


def _signed(number: int, bits: int) -> int:
    """The lowest `bits` as a signed number."""
    sign = 1 << (bits - 1)
    return (number & (2 * sign - 1) ^ sign) - sign


RETURN_IN_ARGUMENT = packed_fp(CallersFp.IN_REGISTER, 8)
"""The frame pointer's part of a rule: it is where it was, and the return address in the register of the first
argument, as in vfork."""


class Rows(NamedTuple):
    """A table: the rule at an address is that of the last row that is not behind it. Sorted.

    No row with a rule is of two functions.
    """

    addresses: array[int]
    """Virtual addresses as the file was linked ("Q")."""
    rules: array[int]
    """As `packed` makes them ("I")."""
    backs: array[int]
    """How many rows before each one its function begins ("H"); as many as fit, where there are more."""


FunctionRows: TypeAlias = "tuple[int, int, array[int]]"
"""Where a function starts and ends, and its rows: of each the distance (upper half) and the rule."""
_RULE_MASK = (1 << 32) - 1
_MOST_BACK = (1 << 16) - 1


def assembled(functions: Iterable[FunctionRows]) -> Rows:
    """One table of these functions. Of two for the same code, the one that starts first counts.

    The rule for a signal holds one byte longer than its function: a thread in the system call that ends a
    handler, the last instruction, is behind it.

    Raises `Malformed` where they give more rows than `MOST_ROWS`.
    """
    table = Rows(array("Q"), array("I"), array("H"))
    rules = table.rules
    behind, last = 0, int(Cfa.UNKNOWN)
    for start, end, rows in sorted(functions, key=itemgetter(0)):
        if start < behind:
            continue
        behind += last == Cfa.SIGNAL
        if start > behind and last != Cfa.UNKNOWN:
            _append(table, behind, Cfa.UNKNOWN, 0)
            last = Cfa.UNKNOWN
        first = len(rules)
        for row in rows:
            distance, rule = row >> 32, row & _RULE_MASK
            if start + distance >= end:
                break
            if rule != last or (not distance and rule != Cfa.UNKNOWN):
                _append(table, start + distance, rule, min(len(rules) - first, _MOST_BACK))
                last = rule
        behind = end
        if len(rules) >= MOST_ROWS:
            raise Malformed(f"unwind information of more than {MOST_ROWS} rows")
    if behind:
        _append(table, behind + (last == Cfa.SIGNAL), Cfa.UNKNOWN, 0)
    return table


def _append(table: Rows, address: int, rule: int, back: int) -> None:
    table.addresses.append(address)
    table.rules.append(rule)
    table.backs.append(back)
