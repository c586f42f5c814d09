"""Ruby's names as the kernel takes them at the interrupt (profiler/bpf/name_ruby.h)."""

from __future__ import annotations

from typing import Final

from symbolizers.frame import CodeObject, capture_kind
from symbolizers.ruby.kinds import NAME, RUBY_CFUNC
from symbolizers.ruby.labels import in_blocks, method_label, with_class
from symbolizers.taken import TakenCode, TakenName
from symbolizers.values import text_of

OF_METHOD: Final = 1
OF_SINGLETON: Final = 2
IS_PART: Final = 4
LEVELS_BIT: Final = 8
"""As RUBY_NAME_* in profiler/bpf/ruby_layout.h."""


def code_of(taken: TakenName) -> TakenCode | None:
    """The code object that `taken` names; None where its name was left to the reader."""
    label, name, class_name, file = (
        text if text is None else text_of(text, is_whole=True) for text in taken.texts
    )
    if label is None:
        return None
    is_cfunc = capture_kind(taken.address) == RUBY_CFUNC
    if is_cfunc:
        name, file = label, ""
    is_whole = file is not None
    if taken.details & OF_METHOD:
        if name is not None and class_name is not None:
            is_singleton = bool(taken.details & OF_SINGLETON)
            label = with_class(label, name, method_label(class_name, name, is_singleton=is_singleton))
        else:
            is_whole = False
    label = in_blocks(label, taken.details >> LEVELS_BIT)
    is_part = bool(taken.details & IS_PART)
    code = CodeObject(NAME, label, file or "", taken.first_line, stands_for_caller=is_part)
    return TakenCode(code, is_whole=is_whole)
