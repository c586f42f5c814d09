"""What Cython calls the C functions that it makes (Cython/Compiler/Naming.py).

``__pyx_f_3pkg_3mod_1C_run`` is ``pkg.mod.C.run``: each scope with its length before it. In functions that
Python code calls (``__pyx_pw_``, ``__pyx_pf_``, ``__pyx_gb_``) a count comes before all last names but one.
"""

from __future__ import annotations

import re

_MANGLED = re.compile(r"__pyx_(pw|pf|gb|f)_(\d.*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,4}", re.ASCII)
_COUNT = re.compile(r"\d+(?=[A-Za-z_])", re.ASCII)


def cython_name(symbol: str) -> str | None:
    """The qualified name of the function; None where `symbol` is not Cython's."""
    mangled = _MANGLED.fullmatch(symbol)
    if mangled is None:
        return None
    kind, rest = mangled.groups()
    scopes: list[str] = []
    while (number := _LENGTH.match(rest)) is not None:
        end = number.end() + int(number[0])
        scope, separator, left = rest[number.end() : end], rest[end : end + 1], rest[end + 1 :]
        if separator != "_" or not scope or not left:
            break
        # ``5merge_sort`` may be a function that was counted, and no scope of five letters.
        is_counted = kind != "f" and scopes and not _COUNT.match(left)
        if is_counted and not (kind == "pf" and int(number[0]) % 2):  # those have even counts
            break
        scopes.append(scope)
        rest = left
    name = rest if kind == "f" else rest[counted.end() :] if (counted := _COUNT.match(rest)) else rest
    return ".".join([*scopes, name]) if scopes and name else None
