"""Derive the numbers of a PHP layout row again, from headers.

    python -m symbolizers.php.derive /usr/include/php/20220829

A tool for whoever adds a version, and for the tests; nothing of a recording imports it. The folder is one
that PHP installs for those who compile extensions (Debian: php8.2-dev).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from symbolizers.c_headers import from_headers

_GLOBALS: Final = "zend_executor_globals"
_FRAME: Final = "zend_execute_data"
_FUNCTION: Final = "zend_op_array"
_GENERATOR: Final = "zend_generator"

HEADERS: Final = ("stddef.h", "php.h", "zend_vm.h", "zend_generators.h")
FOLDERS: Final = ("", "Zend", "main", "TSRM")

EXPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "current_frame": f"offsetof({_GLOBALS}, current_execute_data)",
        "bailout": f"offsetof({_GLOBALS}, bailout)",
        "exception_op": f"offsetof({_GLOBALS}, exception_op)",
        "exception_opline": f"offsetof({_GLOBALS}, opline_before_exception)",
        "function_last": f"offsetof({_FUNCTION}, last)",
        "function_opcodes": f"offsetof({_FUNCTION}, opcodes)",
        "function_filename": f"offsetof({_FUNCTION}, filename)",
        "function_lines": f"offsetof({_FUNCTION}, line_start)",
        "internal_handler": "offsetof(zend_internal_function, handler)",
        "generator_frame": f"offsetof({_GENERATOR}, execute_data)",
        "generator_parent": f"offsetof({_GENERATOR}, node.parent)",
    }
)
"""The C expression for each field of a row."""

FROM_BUILDS: Final = ("generator_class", "frameless_functions", "code_start", "code_bytes")
"""The fields that are found in each build: see `symbolizers.php.language`."""

WALKER_CONSTANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "FUNCTION_NAME": f"offsetof({_FUNCTION}, function_name)",
        "FUNCTION_SCOPE": f"offsetof({_FUNCTION}, scope)",
        "INTERNAL_FUNCTION": "ZEND_INTERNAL_FUNCTION",
        "USER_FUNCTION": "ZEND_USER_FUNCTION",
        "EVAL_CODE": "ZEND_EVAL_CODE",
        "OBJECT_CLASS": "offsetof(zend_object, ce)",
        "TYPE_OBJECT": "IS_OBJECT",
        "OPCODE_BYTES": "sizeof(zend_op)",
        "OPCODE_EXTENDED_VALUE": "offsetof(zend_op, extended_value)",
        "INCLUDE_OR_EVAL": "ZEND_INCLUDE_OR_EVAL",
        "BY_INCLUDE": "ZEND_INCLUDE",
        "BY_INCLUDE_ONCE": "ZEND_INCLUDE_ONCE",
        "BY_REQUIRE": "ZEND_REQUIRE",
        "BY_REQUIRE_ONCE": "ZEND_REQUIRE_ONCE",
    }
)
"""PHP's expression for each constant of profiler/bpf/php_layout.h: the same in all versions so far."""

FRAMELESS_CONSTANTS: Final[Mapping[str, str]] = MappingProxyType(
    {"FRAMELESS_FIRST": "ZEND_FRAMELESS_ICALL_0", "FRAMELESS_LAST": "ZEND_FRAMELESS_ICALL_3"}
)
"""The same for those that there are from 8.4 on."""

READER_CONSTANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPCODE_BYTES": "sizeof(zend_op)",
        "OPCODE_LINE": "offsetof(zend_op, lineno)",
        "FUNCTION_NAME": f"offsetof({_FUNCTION}, function_name)",
        "FUNCTION_SCOPE": f"offsetof({_FUNCTION}, scope)",
        "CLASS_NAME": "offsetof(zend_class_entry, name)",
        "STRING_LENGTH": "offsetof(zend_string, len)",
        "STRING_TEXT": "offsetof(zend_string, val)",
        "INTERNAL_FUNCTION": "ZEND_INTERNAL_FUNCTION",
        "USER_FUNCTION": "ZEND_USER_FUNCTION",
        "EVAL_CODE": "ZEND_EVAL_CODE",
    }
)
"""The same for the constants of `symbolizers.php.functions`."""

STRUCTURES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "php_execute_data": {
            "opline": f"offsetof({_FRAME}, opline)",
            "call": f"offsetof({_FRAME}, call)",
            "return_value": f"offsetof({_FRAME}, return_value)",
            "function": f"offsetof({_FRAME}, func)",
            "this": f"offsetof({_FRAME}, This)",
            "this_type": f"offsetof({_FRAME}, This.u1.type_info)",
            "arguments": f"offsetof({_FRAME}, This.u2.num_args)",
            "previous": f"offsetof({_FRAME}, prev_execute_data)",
        },
        "php_opline": {
            "extended_value": "0",
            "line": "offsetof(zend_op, lineno) - offsetof(zend_op, extended_value)",
            "opcode": "offsetof(zend_op, opcode) - offsetof(zend_op, extended_value)",
            "operand_types": "offsetof(zend_op, op1_type) - offsetof(zend_op, extended_value)",
        },
    }
)
"""Where PHP has the fields of structures in profiler/bpf/php_layout.h."""


def derived(include: Path, expressions: Mapping[str, str]) -> dict[str, int]:
    """The value of each of `expressions` by the headers in `include`. Raises `CalledProcessError`."""
    return from_headers(HEADERS, expressions, folders=[str(include / folder) for folder in FOLDERS])


def main(arguments: list[str] | None = None) -> None:
    """Print the fields of a row as they stand in layouts.py, and the constants of php_layout.h."""
    parser = argparse.ArgumentParser(description="Derive a PHP layout row.")
    parser.add_argument("include", type=Path, help="the folder that holds Zend/ and main/")
    chosen = parser.parse_args(arguments)
    for name, number in derived(chosen.include, EXPRESSIONS).items():
        print(f'"{name}": {number},')
    for name in FROM_BUILDS:
        print(f'"{name}": ABSENT,')
    for name, number in derived(chosen.include, WALKER_CONSTANTS).items():
        print(f"#define {name} {number}")


if __name__ == "__main__":
    main()
