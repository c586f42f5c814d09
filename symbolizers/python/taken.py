"""Python's names as the kernel takes them at the interrupt (profiler/bpf/name_python.h)."""

from __future__ import annotations

from typing import Final

from symbolizers.frame import CodeObject
from symbolizers.python.kinds import NAME
from symbolizers.python.strings import decode, decode_bytes
from symbolizers.taken import TakenCode, TakenName

NAMES_ARE_BYTES: Final = 1
"""As ``PYTHON_NAME_BYTES`` in profiler/bpf/python_layout.h."""

_LATIN_1_BYTES: Final = 1
_NEGATIVE: Final = 1 << 31


def code_of(taken: TakenName) -> TakenCode | None:
    """The code object that `taken` names; None where its name was left to the reader."""
    name, file, *_ = taken.texts
    if name is None:
        return None
    first_line = taken.first_line if taken.first_line < _NEGATIVE else 0
    code = CodeObject(NAME, _text(taken, name), _text(taken, file or b""), first_line)
    return TakenCode(code, is_whole=file is not None)


def _text(taken: TakenName, data: bytes) -> str:
    return decode_bytes(data) if taken.details & NAMES_ARE_BYTES else decode(data, _LATIN_1_BYTES)
