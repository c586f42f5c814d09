"""What a C compiler makes of an interpreter's headers, for ``derive`` scripts and tests of layout rows.

Nothing of a recording imports it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def from_headers(
    headers: Sequence[str], expressions: Mapping[str, str], *, folders: Sequence[str] = ()
) -> dict[str, int]:
    """The value of each of `expressions` by name, as a C compiler sees it that looks in `folders`.

    Raises `subprocess.CalledProcessError` where a structure or member is called otherwise there.
    """
    lines = [f'#include "{header}"' for header in headers]
    lines += [
        f"unsigned long derived_{name} = (unsigned long)({text});" for name, text in expressions.items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        source, assembly = Path(scratch, "probe.c"), Path(scratch, "probe.s")
        source.write_text("\n".join(lines) + "\n")
        flags = [f"-I{folder}" for folder in folders]
        subprocess.run(["cc", "-w", *flags, "-S", str(source), "-o", str(assembly)], check=True)
        return _initial_values(assembly.read_text(), set(expressions))


def _initial_values(assembly: str, names: set[str]) -> dict[str, int]:
    """The initial values of the variables ``derived_NAME`` in a compiler's `assembly`.

    Headers may define functions that are nowhere linked, so that a program of them could not run.
    """
    values: dict[str, int] = {}
    label = ""
    for line in assembly.splitlines():
        if line and not line[0].isspace():
            label = line.partition(":")[0].removeprefix("derived_") if line.startswith("derived_") else ""
        elif label in names and label not in values:
            directive, _, operand = line.strip().partition("\t")
            if directive in (".quad", ".zero"):
                values[label] = int(operand) if directive == ".quad" else 0
    return {name: values[name] for name in sorted(names)}
