"""Unwind rows of HotSpot's code on x86-64: a blob says how large its frame is, its instructions the rest.

Compiled code keeps no frame pointer, but rbp is the one register that it saves: below the return address. A
frame is made and given up in a few forms (MacroAssembler::verified_entry, MachEpilogNode and
LIR_Assembler in OpenJDK, 8 to 25).
"""

from __future__ import annotations

import re
from functools import lru_cache

from symbolizers.elf.unwind_rules import CallersFp, Cfa, packed, packed_fp
from symbolizers.hotspot.blobs import Blob

_SAVED = packed_fp(CallersFp.AT_CFA, -16)
_CALLED = packed(Cfa.STACK_POINTER, 8, 0)
"""Nothing but the return address is on the stack yet, or any more."""
_PUSHED = packed(Cfa.STACK_POINTER, 16, _SAVED)
_FRAME_POINTER = packed(Cfa.FRAME_POINTER, 16, _SAVED)
_INTERPRETED = packed(Cfa.SIGNAL, -8, 0)
"""The caller's stack pointer is kept below the saved frame pointer: a compiled caller needs it."""
_METHOD = "nmethod"
_COMPILED = frozenset((_METHOD, "native nmethod"))
_WITHOUT_FRAMES = re.compile(
    r"I2C/C2I adapters|adapters|MethodHandles adapters|vtable chunks|InlineCacheBuffer|jni_fast_.*"
    "|native signature handlers"
)
_INTERPRETER = "Interpreter"
_PUSH = 0x55
_SMALLEST = 16
"""A frame with nothing but the return address and rbp."""
_MOST_STUBS = 1024
_ENTER = b"\x55\x48\x8b\xec"
_STORED = re.compile(
    rb"\x48(?:\x83\xec(?P<short>.)|\x81\xec(?P<long>....))(?P<store>\x48\x89(?:\x2c\x24|\x6c\x24.|\xac\x24....))",
    re.DOTALL,
)
"""sub rsp, N; mov [rsp+N-8], rbp"""
_RETURN = re.compile(
    rb"(?:\x49\x3b(?:\x67.|\xa7....)\x0f\x87....)?"  # cmp rsp, [r15+N]; ja STUB
    rb"(?:\x4d\x8b\x97....\x41\x85\x02|\x49\xba........\x41\x85\x02|\x85\x05....)?"  # test eax, […]
    rb"(?:\xc3|\xe9....|\x41?\xff[\xe0-\xe7])",
    re.DOTALL,
)
"""The poll of a safepoint, and the way back."""
_MOST_UNKNOWN_RETURN = 16
_POP = re.compile(rb"\x5d(?=%s)" % _RETURN.pattern, re.DOTALL)
_FRAMED = re.compile(
    rb"(?P<enter>%s(?P<sender>\x41\x55)?)|(?:\xc9|\x5d)(?:\xc5\xf8\x77)?(?P<ret>\xc3)" % _ENTER
)

Row = tuple[int, int]
"""From where in the blob's content on it holds, and its rule."""


def rows_of(blob: Blob) -> list[Row]:
    """The rows of its code, sorted: the first begins with it."""
    start, content = blob.start, blob.content
    if _WITHOUT_FRAMES.fullmatch(blob.name):
        return [(start, _CALLED)]
    if blob.name == _INTERPRETER:
        rows = _framed(content[start : blob.end], _INTERPRETED)
    elif blob.frame_bytes < _SMALLEST or (
        not is_compiled(blob) and content.find(_ENTER, start, blob.end) >= 0
    ):
        rows = _framed(content[start : blob.end], _FRAME_POINTER)
    else:
        return _compiled(blob)
    return [(start + at, rule) for at, rule in rows]


def is_compiled(blob: Blob) -> bool:
    """Whether it is a compiled method."""
    return blob.name in _COMPILED


def keeps_frame_pointer(blob: Blob) -> bool:
    """Whether it is a compiled method with a frame pointer."""
    return blob.name == _METHOD and blob.content.find(_ENTER, blob.start, blob.complete) >= 0


@lru_cache(_MOST_STUBS)
def _framed(code: bytes, inside: int) -> list[Row]:
    """Where frames that a frame pointer leads to begin and end; most such code stays as it is."""
    rows = [(0, inside)]
    for found in _FRAMED.finditer(code):
        if found["enter"]:
            at = found.start()
            rows += (at, _CALLED), (at + 1, _PUSHED), (at + 4, _FRAME_POINTER)
            if found["sender"] or inside == _FRAME_POINTER:
                rows.append((found.end(), inside))
        else:
            rows += (found.start("ret"), _CALLED), (found.end(), inside)
    return rows


def _compiled(blob: Blob) -> list[Row]:
    body = packed(Cfa.STACK_POINTER, blob.frame_bytes, _SAVED)
    rows = [(blob.start, _CALLED), *_prologue(blob), (min(blob.complete, blob.end - 1), body)]
    end = blob.complete
    while (found := _find_pop(blob, end)) is not None:
        added, popped = found
        if added < popped - 1:
            rows.append((popped - 1, _PUSHED))
        back = _RETURN.match(blob.content, popped, blob.end)
        end = back.end() if back is not None else min(popped + _MOST_UNKNOWN_RETURN, blob.end)
        rows += (popped, _CALLED), (end, body)
    return rows


def _prologue(blob: Blob) -> list[Row]:
    """push rbp; (mov rbp, rsp;) sub rsp, N; or sub rsp, N; mov [rsp+N-8], rbp

    Up to the end of this the frame is not complete; what is behind it may store more registers.
    """
    content, frame = blob.content, blob.frame_bytes
    at = content.find(_moved(b"\xec", frame - _SMALLEST), blob.start, blob.complete)
    if at >= 0:
        entered = content.rfind(_ENTER, blob.start, at) == at - len(_ENTER)
        pushed = at - len(_ENTER) if entered else at - 1
        if pushed >= blob.start and content[pushed] == _PUSH:
            size = len(_moved(b"\xec", frame - _SMALLEST))
            return [(pushed + 1, _PUSHED), (at + size, packed(Cfa.STACK_POINTER, frame, _SAVED))]
    stored = _STORED.search(content, blob.start, blob.complete)
    if stored is None or int.from_bytes(stored["short"] or stored["long"], "little") != frame - 8:
        return []
    return [
        (stored.start("store"), packed(Cfa.STACK_POINTER, frame, 0)),
        (stored.end(), packed(Cfa.STACK_POINTER, frame, _SAVED)),
    ]


def _find_pop(blob: Blob, start: int) -> tuple[int, int] | None:
    """Where the next frame is given up (add rsp, N; pop rbp), and the end of that."""
    if blob.frame_bytes == _SMALLEST:
        found = _POP.search(blob.content, start, blob.end)
        return (found.start(), found.end()) if found is not None else None
    wanted = _moved(b"\xc4", blob.frame_bytes - _SMALLEST) + b"\x5d"
    at = blob.content.find(wanted, start, blob.end)
    return (at, at + len(wanted)) if at >= 0 else None


def _moved(how: bytes, by: int) -> bytes:
    """The instruction that adds so much to the stack pointer, or subtracts it."""
    if by < 1 << 7:
        return b"\x48\x83" + how + by.to_bytes(1, "little")
    return b"\x48\x81" + how + by.to_bytes(4, "little")
