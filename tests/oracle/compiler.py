"""Compiles the sampler with keep.c behind it, as profiler/capture/compiler.py does without."""

from __future__ import annotations

import sys
from pathlib import Path

from profiler.capture.compiler import compile_here
from profiler.capture.program import program_text
from symbolizers.registry import LANGUAGES

KEEP = Path(__file__).with_name("keep.c")


def main() -> None:
    """Writes the compiled sampler to the file that is named."""
    text = program_text(LANGUAGES) + b'\n#line 1 "keep.c"\n' + KEEP.read_bytes()
    Path(sys.argv[1]).write_bytes(compile_here(text).encode())


if __name__ == "__main__":
    main()
