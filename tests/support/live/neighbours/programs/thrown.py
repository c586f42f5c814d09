"""Code that is made, run for a moment, and thrown away, so that its memory is used for the next."""

from __future__ import annotations

from itertools import count

for number in count():
    name = f"thrown_{number}_{'ж' * (number % 150)}"
    exec(f"def {name}():\n for _ in range(3_000): pass\n{name}()")
