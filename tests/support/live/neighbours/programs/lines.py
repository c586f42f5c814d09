"""Ever new functions, each with a line table of 256 kB."""

from __future__ import annotations

from collections import deque
from types import CodeType, FunctionType

TABLE = b"\xd8" * (256 << 10)
"""Entries that move a line on, as CPython 3.11 and later write them."""
SOURCE = "def work_{0}():\n for _ in range(20_000): pass"
kept: deque[FunctionType] = deque(maxlen=200)

number = 0
while True:
    number += 1
    module = compile(SOURCE.format(number), "lines.py", "exec")
    code = next(each for each in module.co_consts if isinstance(each, CodeType))
    kept.append(FunctionType(code.replace(co_linetable=TABLE + bytes([0x80, number % 60])), {"range": range}))
    kept[-1]()
