"""Ruby's name as the kind of its frames, and the capture kinds of its walker."""

from __future__ import annotations

from typing import Final

NAME: Final = "ruby"

RUBY_ISEQ: Final = 2
RUBY_CFUNC: Final = 3
RUBY_GARBAGE: Final = 129
"""As ``enum ruby_kind`` in profiler/bpf/ruby_layout.h."""
