"""Shorter names for native functions: without template arguments, parameters and return types.

``void std::__introsort_loop<__gnu_cxx::…>(__gnu_cxx::…, long)`` is ``std::__introsort_loop<…>``. Text alone
decides, as demanglers write C++ and Rust: nothing says any more which language a function is written in.
"""

from __future__ import annotations

import re
from itertools import accumulate

from symbolizers.frame import INLINED, NATIVE, Frame

_LEFT_OUT = "<…>"
_KEPT_BLANK = "\0"
"""Stands for a blank inside a name."""
_OPERATOR = re.compile(
    r"operator(?:\(\)|\[\]|<=>|<<=?|>>=?|->\*?|<=?|>=?|&&|\|\||\+\+|--"
    r"|[-+*/%^&|=!]=?|[~,]|\"\"| (?:new|delete)(?:\[\])?)"
)
_ENDS_IN_OPERATOR = re.compile(r"operator\W{1,3}$")
_ANONYMOUS = "(anonymous namespace)"
_CLONE = "(."
"""Begins what is said of a copy that the compiler has made: `` (.isra.0)``."""
_WHOLE = re.compile(
    r"(?:non-virtual thunk|virtual thunk|covariant return thunk|guard variable|reference temporary) "
)
"""Begins a name that is no function's of the source."""
_DEEPEST = 8
_PAIRS = {"<": ">", "(": ")", "{": "}"}
_PARAMETERS = re.compile(r"\(.*\)")


def short_name_frame(frame: Frame) -> Frame:
    """The frame with `short_name`, if it is a native one with a name."""
    is_named = frame.kind == INLINED or (frame.kind == NATIVE and frame.file)
    return frame._replace(name=short_name(frame.name)) if is_named else frame


def short_name(name: str, depth: int = 0) -> str:
    """`name` without what tells overloads and instances apart; `name` itself where it is not understood."""
    if "<" not in name and "(" not in name:
        return name
    # Go's methods, ``main.(*T).Do``, are no parameters.
    if ".(" in name or _WHOLE.match(name):
        return name
    parts = _parts(name, depth)
    if parts is None:
        return name
    text, is_function = parts
    return (_without_type(text) if is_function else text).replace(_KEPT_BLANK, " ").strip() or name


def _parts(name: str, depth: int) -> tuple[str, bool] | None:
    """What is kept, and whether `name` has parameters; None where brackets don't match."""
    kept = ""
    at, is_function = 0, False
    while at < len(name):
        operator = _OPERATOR.match(name, at)
        if operator is not None and not _is_word(kept[-1:]):
            kept += operator[0].replace(" ", _KEPT_BLANK)
            at = operator.end()
        elif name.startswith(_ANONYMOUS, at):
            kept += _ANONYMOUS.replace(" ", _KEPT_BLANK)
            at += len(_ANONYMOUS)
        elif name.startswith(_CLONE, at):
            break
        elif name[at] in _PAIRS:
            end = _end_of(name, at)
            if end < 0 or (name[at] == "(" and not _ends_a_name(kept)):
                return None
            if name[at] == "<":
                kept += _LEFT_OUT if _ends_a_name(kept) else _path(name[at + 1 : end - 1], depth)
            elif name[at] == "{":
                kept += _PARAMETERS.sub("", name[at:end]).replace(" ", _KEPT_BLANK)
            else:
                is_function = True
                if not name.startswith("::", end):
                    break
            at = end
        else:
            kept += name[at]
            at += 1
    return kept, is_function


def _path(inner: str, depth: int) -> str:
    """Rust's ``<T as Trait>``, each of them short."""
    if depth >= _DEEPEST:
        return _LEFT_OUT
    short = (short_name(each, depth + 1) for each in inner.split(" as "))
    return f"<{' as '.join(short)}>".replace(" ", _KEPT_BLANK)


def _end_of(name: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`; -1 without one."""
    opened, closing = name[at], _PAIRS[name[at]]
    text = name[at:].replace("->", "--")
    depths = accumulate((each == opened) - (each == closing) for each in text)
    return next((at + index + 1 for index, depth in enumerate(depths) if not depth), -1)


def _without_type(text: str) -> str:
    """`text` without the return type before it."""
    operator = re.search(r"\boperator\b", text)
    return text[text.rfind(" ", 0, operator.start() if operator else None) + 1 :]


def _is_word(character: str) -> bool:
    return character.isalnum() or character in ("_", "$")


def _ends_a_name(kept: str) -> bool:
    """Whether a function's or a type's name ends here."""
    return bool(kept) and (
        _is_word(kept[-1]) or kept[-1] in ">)]}'\"~" or bool(_ENDS_IN_OPERATOR.search(kept))
    )
