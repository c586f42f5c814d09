"""Unwind rules of Go's functions, and of those of its runtime that work on another stack than their caller.

A goroutine has a stack of its own, and the runtime's own work is done on the thread's (`g0`). Where one goes
over to the other is told by src/runtime/traceback.go (`unwinder.resolveInternal` and `topofstack`) and
asm_amd64.s of Go. Offsets in its structures differ by version; they are taken from the instructions that use
them.

C that a goroutine calls back from is left out, as Go does: the goroutine goes on at the call into C.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

from symbolizers.elf.pclntab import Function, Pclntab
from symbolizers.elf.unwind_rules import ROOT, CallersFp, Cfa, FunctionRows, packed, packed_fp, packed_links

Read = Callable[[int, int], bytes]
"""So many bytes at an address of the file; raises `Malformed`."""

_ROOTS: Final = frozenset(("runtime.goexit", "runtime.mstart", "runtime.rt0_go"))
_LEAVES_FOR_GOOD: Final = "runtime.mcall"
"""It gives the goroutine up: what runs then was not called by it."""
_SWITCHES: Final = ("runtime.systemstack", "runtime.asmcgocall", "runtime.nanotime1", "runtime.walltime")
_GROWS: Final = "runtime.morestack"
_SWITCHED: Final = "runtime.systemstack_switch"
"""Where a goroutine seems to be that has gone over to the thread's stack."""
_SIGNALS: Final = ("runtime.sigreturn", "runtime.sigreturn__sigaction")
_ENTERED_BEFORE: Final = frozenset((_SWITCHED, *_SIGNALS))
"""What seems to have called these returns to their first instruction."""
NAMES: Final = (*_ROOTS, _LEAVES_FOR_GOOD, *_SWITCHES, _GROWS, _SWITCHED, *_SIGNALS)

_TO_STACK: Final = re.compile(
    rb"[\x48\x49]\x8b[\x60-\x63\x65-\x67]."  # mov d8(%reg),%rsp
    rb"|[\x48\x4c]\x89[\xc4\xcc\xd4\xdc\xec\xf4\xfc\xe4]"  # mov %reg,%rsp
    rb"|(\x48\x83\xe4\xf0)",  # and $-16,%rsp
    re.DOTALL,
)
_G: Final = re.compile(rb"\x64\x48\x8b.\x25(....)|\x48\xc7\xc1(....)\x64\x48\x8b", re.DOTALL)
"""mov %fs:d32,%reg; or mov $d32,%rcx and mov %fs:(%rcx),%reg: the running goroutine, g."""
_OF_G: Final = re.compile(rb"[\x48\x4c]\x8b[\x40-\x7f](.)", re.DOTALL)
"""mov d8(%reg),%reg, the first one behind that: g.m."""
_CURRENT: Final = re.compile(rb"\x48\x3b[\x80-\xbf](....)\x75", re.DOTALL)
"""cmp d32(%reg),%rax and jne: m.curg."""
_STACK_POINTER: Final = re.compile(rb"\x48\x8b[\x60-\x63\x65-\x67](.)", re.DOTALL)
"""mov d8(%reg),%rsp: g.sched.sp."""
_MOST_CODE: Final = 1 << 12
_MOST_SPECIAL: Final = 64
"""Some names stand for two functions, one for each calling convention."""
_IN_PLACE = packed(Cfa.STACK_POINTER, 8, 0)
_FP_BELOW = packed_fp(CallersFp.AT_CFA, -16)
_BY_FP_ELSEWHERE = packed(Cfa.FRAME_POINTER, 16, packed_fp(CallersFp.AT_CFA_ELSEWHERE, -16))


def rows_of(table: Pclntab, text: int, read: Read) -> Iterator[FunctionRows]:
    """The rows of all functions whose code begins at `text`. Raises `Malformed`."""
    functions = list(table.functions(text, NAMES))
    special = [each for each in functions if each.name and each.end - each.start <= _MOST_CODE][
        :_MOST_SPECIAL
    ]
    code = {each.start: read(each.start, each.end - each.start) for each in special}
    links = next(
        filter(None, (_links(code[each.start]) for each in special if each.name == _SWITCHES[0])), ()
    )
    for each, following in zip_longest(functions, functions[1:]):
        rows = array("Q", [distance << 32 | _by_depth(depth) for distance, depth in each.depths])
        if each.start in code:
            rows = _special(each, rows, links, code[each.start])
        end = each.end - (following is not None and following.name in _ENTERED_BEFORE)
        yield each.start - (each.name in _ENTERED_BEFORE), end, rows


def _by_depth(depth: int) -> int:
    return packed(Cfa.STACK_POINTER, depth + 8, _FP_BELOW if depth >= 8 else 0)


def _special(each: Function, rows: array[int], links: Sequence[int], code: bytes) -> array[int]:
    """The rows of a function of the runtime that goes over to another stack, or that nothing called."""
    if each.name in _ROOTS:
        return array("Q", [ROOT])
    if each.name in _SIGNALS:
        return array("Q", [Cfa.SIGNAL])
    if each.name == _SWITCHED:
        return array("Q", [_IN_PLACE, *(row + (1 << 32) for row in rows)])
    keeps_fp = max((depth for _, depth in each.depths), default=0) > 0
    found = rows
    for begin, end, saves in _elsewhere(code):
        if each.name == _LEAVES_FOR_GOOD:
            rule = ROOT
        elif each.name == _GROWS:
            rule = packed_links(links, is_called=False)
        elif keeps_fp:
            rule = _BY_FP_ELSEWHERE
        else:
            rule = packed_links(links, is_called=True) if saves else int(Cfa.UNKNOWN)
        found = _overlaid(found, begin, end, rule)
    return found


def _elsewhere(code: bytes) -> Iterator[tuple[int, int, bool]]:
    """From where to where `code` works on another stack, and whether it did not merely align its own."""
    begin, saves = -1, True
    for match in _TO_STACK.finditer(code):
        aligns = match[1] is not None
        if begin < 0:
            begin, saves = match.end(), not aligns
        elif not aligns:
            yield begin, match.end(), saves
            begin = -1
    if begin >= 0:
        yield begin, len(code), saves


def _overlaid(rows: array[int], begin: int, end: int, rule: int) -> array[int]:
    """These rows, but with `rule` from `begin` to `end`."""
    before = array("Q", [row for row in rows if row >> 32 < begin])
    behind = array("Q", [row for row in rows if row >> 32 >= end])
    last = [row for row in rows if row >> 32 < end][-1:]
    back = [end << 32 | row & 0xFFFFFFFF for row in last]
    return before + array("Q", [begin << 32 | rule, *back]) + behind


def _links(code: bytes) -> tuple[int, ...]:
    """The way from the thread pointer to the stack pointer that the running goroutine has saved.

    `code` is that of `systemstack`. Empty where it does not tell.
    """
    running = _G.search(code)
    machine = running and _OF_G.search(code, running.end())
    current = machine and _CURRENT.search(code, machine.end())
    saved = current and _STACK_POINTER.search(code, current.end())
    if not (running and machine and current and saved):
        return ()
    (of_thread,) = struct.unpack("<i", running[1] or running[2])
    (of_machine,) = struct.unpack("<I", current[1])
    return -of_thread, machine[1][0], of_machine, saved[1][0]
