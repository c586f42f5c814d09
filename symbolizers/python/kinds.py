"""CPython's name as the kind of its frames, and the capture kinds of its walker."""

from __future__ import annotations

from typing import Final

NAME: Final = "python"

PYTHON_CODE: Final = 1
PYTHON_TASK: Final = 128
"""As ``enum python_kind`` in profiler/bpf/python_layout.h."""
