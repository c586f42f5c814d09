"""PHP's names as the kernel takes them at the interrupt (profiler/bpf/name_php.h)."""

from __future__ import annotations

from symbolizers.frame import CodeObject, capture_kind
from symbolizers.php.functions import called, function_name, plain_text
from symbolizers.php.kinds import NAME
from symbolizers.taken import TakenCode, TakenName


def code_of(taken: TakenName) -> TakenCode | None:
    """The function that `taken` names; None where its name was left to the reader."""
    name, class_name, file, *_ = taken.texts
    if name is None:
        return None
    own, class_, path = (plain_text(text or b"") for text in (name, class_name, file))
    shown = called(function_name(own, class_), capture_kind(taken.address), taken.details)
    code = CodeObject(NAME, shown, path, taken.first_line)
    return TakenCode(code, is_whole=class_name is not None and file is not None)
