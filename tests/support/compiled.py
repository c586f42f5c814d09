"""What the C compiler makes of the headers in profiler/bpf, for tests to hold Python against."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from profiler.capture.header import BPF_DIRECTORY, Header

PRELUDE = """
#include <stddef.h>
#include <stdio.h>
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
"""


def build(directory: Path, name: str, source: str) -> Path:
    """The program that gcc makes of `source`, without a warning."""
    program = directory / name
    code = program.with_suffix(".c")
    code.write_text(source)
    command = ("gcc", "-Wall", "-Wextra", "-Werror", f"-I{BPF_DIRECTORY}", str(code), "-o", str(program))
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


def facts_of(directory: Path, name: str, header: Header) -> dict[str, int]:
    """The compiler's value of every define and enumerator, and offset, size and end of every field."""
    expressions = [*header.defines, *(each for enum in header.enums.values() for each in enum)]
    for struct in header.structs.values():
        expressions.append(f"sizeof(struct {struct.name})")
        for field in struct.fields:
            expressions.append(f"offsetof(struct {struct.name}, {field})")
            expressions.append(f"sizeof(((struct {struct.name} *)0)->{field})")
    lines = [f'printf("%s\\"{each}\\": %lld", separator, (long long)({each}));' for each in expressions]
    body = 'separator = ",";\n'.join(lines)
    source = f'{PRELUDE}#include "{name}"\nint main(void)\n{{\nconst char *separator = "";\nputs("{{");\n'
    program = build(directory, name.removesuffix(".h"), source + body + '\nputs("}");\nreturn 0;\n}\n')
    output = subprocess.run([str(program)], capture_output=True, check=True).stdout
    facts = json.loads(output)
    assert isinstance(facts, dict)
    return facts
