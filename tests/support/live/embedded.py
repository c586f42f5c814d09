"""Builds a program that embeds a shared libpython (Debian: python3-dev and a C compiler)."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("embed.c")


def build_embedded_python(tmp_path: Path, *, copy_types: bool = False) -> Path:
    """The program ``prog script.py``, in `tmp_path`, of the Python version that runs the tests.

    `copy_types`: it holds copies of libpython's types, at other addresses than the library exports.
    """
    program = tmp_path / ("embedded-copies" if copy_types else "embedded")
    flags = ["-no-pie", "-DCOPY_TYPES"] if copy_types else []
    include, version = sysconfig.get_path("include"), sysconfig.get_config_var("LDVERSION")
    command = ["cc", "-O1", *flags, f"-I{include}", str(SOURCE), "-o", str(program), f"-lpython{version}"]
    subprocess.run(command, check=True)
    return program
