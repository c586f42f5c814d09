"""Which CPython an ELF file holds: version and build flavour, from what the file exports.

From 3.11 on the exported variable ``Py_Version`` tells. Before that, the functions that each version added
tell the series. The text that ``sys.version`` starts with, somewhere in the read-only data, tells the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from symbolizers.elf.file import ElfFile
from symbolizers.errors import UnsupportedVersion
from symbolizers.layout import Version
from symbolizers.python.layouts import SUPPORTED

_ADDED: Final[tuple[tuple[Version, str], ...]] = (
    ((3, 10), "PyModule_AddObjectRef"),
    ((3, 9), "PyThreadState_GetFrame"),
    ((3, 8), "PyConfig_InitPythonConfig"),
    ((3, 7), "PyThread_tss_create"),
    ((3, 6), "_PyEval_EvalFrameDefault"),
    ((3, 0), "PyBytes_FromString"),
    ((2, 7), "PyCapsule_New"),
)
"""A function that each version was the first to export ("New in version" in its C API reference; of 3.0, what
2.x calls PyString_FromString), newest first. In 2.x capsules came with 2.7."""

_MAX_SEARCH_BYTES: Final = 32 << 20
"""Programs that embed an old Python have some 10 MB of code and constants."""
_MAX_TEXTS: Final = 1 << 10
_CHUNK_BYTES: Final = 1 << 20
_LONGEST_TEXT_BYTES: Final = 32
_PF_W: Final = 2

_LEVELS: Final = {0xA: "a", 0xB: "b", 0xC: "rc", 0xF: ""}
_FIRST_STABLE_LEVEL: Final = 0xC


class PythonVersion(Struct, frozen=True):
    """``numbers`` are major, minor and micro (0 where unknown); `text` is for people: ``3.11.0rc1``.

    `stable`: a release or release candidate; in alphas and betas structures still change. `hex_version` is
    ``sys.hexversion``, 0 where unknown.
    """

    numbers: Version
    text: str
    stable: bool
    hex_version: int = 0


def find_version(elf: ElfFile) -> PythonVersion | None:
    """The CPython in `elf`, None without one. Raises `Malformed`, or `UnsupportedVersion` for old versions.

    These are 2.6 and older, and 3.0 to 3.5.
    """
    hex_version = elf.symbol("Py_Version")
    if hex_version is not None and elf.symbol("_PyRuntime") is not None:
        return _from_number(int.from_bytes(elf.read(hex_version.address, 4), "little"))
    if elf.symbol("_PyRuntime") is None and elf.symbol("_PyThreadState_Current") is None:
        return None
    series = next((version for version, name in _ADDED if elf.symbol(name) is not None), (2, 6))
    if series in ((3, 0), (2, 6)):
        text = "3.0 to 3.5" if series == (3, 0) else "older than 2.7"
        raise UnsupportedVersion("Python", text, SUPPORTED)
    return _from_text(elf, series)


def _from_number(number: int) -> PythonVersion:
    numbers = (number >> 24 & 0xFF, number >> 16 & 0xFF, number >> 8 & 0xFF)
    text, level = ".".join(map(str, numbers)), number >> 4 & 0xF
    if level != 0xF:
        text += f"{_LEVELS.get(level, '?')}{number & 0xF}"
    return PythonVersion(numbers, text, level >= _FIRST_STABLE_LEVEL, number)


def _from_text(elf: ElfFile, series: Version) -> PythonVersion:
    """The exact version if there is just one text of a version of `series`, else the series alone."""
    prefix = ".".join(map(str, series))
    start = re.escape(prefix.encode() + b".")
    # A pattern that begins with plain text is found many times as fast as one that looks behind first.
    pattern = re.compile(rb"%b(?<![\w.]%b)(\d{1,2})((?:a|b|rc)\d{1,3})?\+?\0" % (start, start))
    matches = (match for text in _read_only_data(elf) for match in pattern.finditer(text))
    found = {match.groups(b"") for match in islice(matches, _MAX_TEXTS)}
    if len(found) != 1:
        return PythonVersion((*series, 0), prefix, stable=True)
    ((micro, level),) = found
    stable = not level.startswith((b"a", b"b"))
    return PythonVersion((*series, int(micro)), f"{prefix}.{(micro + level).decode()}", stable)


def _read_only_data(elf: ElfFile) -> Iterator[bytes]:
    """The read-only segments, in pieces that overlap by the length of a text."""
    budget = _MAX_SEARCH_BYTES
    for segment in elf.segments:
        if segment.flags & _PF_W:
            continue
        for offset in range(0, segment.file_size, _CHUNK_BYTES):
            size = min(_CHUNK_BYTES + _LONGEST_TEXT_BYTES, segment.file_size - offset)
            if budget <= 0:
                return
            budget -= size
            yield elf.read(segment.address + offset, size)
