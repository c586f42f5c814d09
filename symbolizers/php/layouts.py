"""PHP's layout rows. Facts only: derive them again with `symbolizers.php.derive`.

The names are those of ``struct php_layout`` in profiler/bpf/php_layout.h, which the walker gets; the reader
uses some of them, too. All numbers are for 64-bit little-endian builds without thread safety (NTS).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from symbolizers.layout import ABSENT, Layouts, Row

ALIGNMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "current_frame": 8,
        "bailout": 8,
        "exception_op": 8,
        "exception_opline": 8,
        "function_last": 4,
        "function_opcodes": 8,
        "function_filename": 8,
        "function_lines": 8,
        "internal_handler": 8,
        "generator_frame": 8,
        "generator_parent": 8,
        "generator_class": 1,
        "frameless_functions": 1,
        "code_start": 1,
        "code_bytes": 1,
    }
)
"""Every field of a row, with the alignment that its value must have (1: a number of the build).

The first four lie in ``executor_globals``: ``bailout`` points into the C stack that PHP runs on, and
``exception_opline`` is the opline that raised, while ``exception_op`` runs instead. ``function_*`` lie in an
op_array; ``function_lines`` are its first and last line, two 32-bit numbers. ``generator_parent`` is the
generator that another one delegates to. The last four are absent in rows and found in each build, relative
to ``executor_globals``: see `symbolizers.php.language`.
"""

LAYOUTS: Final = Layouts(
    Row(
        name="php-7.4",
        versions=((7, 4), (7, 4)),
        source="headers of php7.4-dev 7.4.33 (bullseye)",
        fields={
            "current_frame": 488,
            "bailout": 416,
            "exception_op": 888,
            "exception_opline": 880,
            "function_last": 60,
            "function_opcodes": 64,
            "function_filename": 136,
            "function_lines": 144,
            "internal_handler": 48,
            "generator_frame": 64,
            "generator_parent": 160,
            "generator_class": ABSENT,
            "frameless_functions": ABSENT,
            "code_start": ABSENT,
            "code_bytes": ABSENT,
        },
    ),
    Row(
        name="php-8.0",
        versions=((8, 0), (8, 1)),
        like="php-7.4",
        source="headers of 8.0.0, 8.0.27, 8.1.0 and 8.1.15; machine code of 8.0.30 and 8.1.29 (npm: @libphp)",
        fields={
            "function_last": 68,
            "function_opcodes": 72,
            "function_filename": 144,
            "function_lines": 152,
            "internal_handler": 56,
            "generator_frame": 56,
            "generator_parent": 152,
        },
    ),
    Row(
        name="php-8.2",
        versions=((8, 2), (8, 2)),
        like="php-8.0",
        source="headers of php8.2-dev 8.2.32 (bookworm)",
        fields={
            "function_last": 80,
            "function_opcodes": 88,
            "function_filename": 152,
            "function_lines": 160,
            "internal_handler": 72,
        },
    ),
    Row(
        name="php-8.3",
        versions=((8, 3), (8, 3)),
        like="php-8.2",
        source="headers of 8.3.0-dev (May 2023); machine code of 8.3.8 (npm: @libphp)",
        fields={
            "function_last": 76,
            "function_opcodes": 80,
            "function_filename": 144,
            "function_lines": 152,
        },
    ),
    Row(
        name="php-8.4",
        versions=((8, 4), (8, 4)),
        like="php-8.2",
        source="headers of php8.4-dev 8.4.27 (trixie)",
        fields={
            "exception_op": 960,
            "exception_opline": 952,
            "function_last": 96,
            "function_opcodes": 104,
            "function_filename": 168,
            "function_lines": 176,
            "internal_handler": 88,
        },
    ),
    Row(
        name="php-8.5",
        versions=((8, 5), (8, 5)),
        like="php-8.4",
        source="headers of php8.5-dev 8.5.7 (experimental)",
        fields={
            "current_frame": 512,
            "exception_op": 984,
            "exception_opline": 976,
        },
    ),
)
"""`LAYOUTS.named(interpreter.layout)` is the row of an attached interpreter."""
