"""Which BCC is installed: found without importing it, which would take 65 MB and a tenth of a second."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from profiler.errors import PrerequisiteError

_VERSION = re.compile(r"""__version__ = ['"](.+)['"]""")


class BccPackage(Struct, frozen=True):
    """The distribution's BCC bindings: where they are, and their version."""

    place: Path
    version: str


def find_bcc() -> BccPackage:
    """The package that ``import bcc`` would find. Raises `PrerequisiteError` if it is missing or another."""
    spec = find_spec("bcc")
    if spec is None:
        raise PrerequisiteError(
            "the BCC bindings are missing: install them with 'apt-get install python3-bpfcc' and"
            " run pidflame with the system's /usr/bin/python3 or a virtual environment that sees its packages"
            " (python3 -m venv --system-site-packages); PyPI's package 'bcc' is something else"
        )
    place = Path(spec.origin or "unknown").parent
    if not (place / "libbcc.py").exists():
        raise PrerequisiteError(
            f"the module 'bcc' in {spec.origin} is not the BPF Compiler Collection: uninstall it"
            " ('pip uninstall bcc') and install python3-bpfcc with apt-get"
        )
    version = place / "version.py"
    said = _VERSION.search(version.read_text()) if version.exists() else None
    return BccPackage(place, said[1] if said is not None else "unknown version")
