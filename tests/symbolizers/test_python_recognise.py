"""Which files hold a CPython, and of which version: real ones, and libraries with only its symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.errors import UnsupportedVersion
from symbolizers.python import PythonFile, PythonLanguage
from tests.symbolizers.elf_programs import build

RUNTIME = "char _PyRuntime[64] = {1};"
TYPES = "char PyCode_Type[8] = {1}, PyUnicode_Type[8] = {1}, PyBytes_Type[8] = {1};"
LOOP = "int _PyEval_EvalFrameDefault(int n) { return n; }"


def recognise(directory: Path, source: str) -> PythonFile | None:
    """What is found in a stripped library of C `source`."""
    path = build(directory, "library.so", "-shared", "-fPIC", "-s", source=source)
    return PythonLanguage().recognise(ElfFile.from_bytes(path.read_bytes()))


def version(number: int) -> str:
    return f"const unsigned long Py_Version = {number:#x};"


def test_a_file_without_python(tmp_path: Path) -> None:
    assert recognise(tmp_path, LOOP) is None
    assert PythonLanguage().recognise(ElfFile.from_bytes(Path("/usr/bin/env").read_bytes())) is None


def test_a_file_that_only_uses_python(tmp_path: Path) -> None:
    source = "extern char _PyRuntime[], Py_Version[]; char *used[] = {_PyRuntime, Py_Version};"
    assert recognise(tmp_path, source) is None


@pytest.mark.parametrize(
    ("number", "text"), [(0x030B02F0, "3.11.2"), (0x030B00F0, "3.11.0"), (0x030B00C1, "3.11.0rc1")]
)
def test_a_supported_version(tmp_path: Path, number: int, text: str) -> None:
    found = recognise(tmp_path, RUNTIME + TYPES + LOOP + version(number))
    assert found is not None
    assert found.version == text
    assert found.row.name == "cpython-3.11"
    assert all((found.types.code, found.types.str, found.types.bytes))


def test_attaches_at_a_bias(tmp_path: Path) -> None:
    found = recognise(tmp_path, RUNTIME + TYPES + LOOP + version(0x030B02F0))
    assert found is not None
    interpreter = found.attach(0x7F00_0000_0000)
    assert interpreter.root == 0x7F00_0000_0000 + found.root
    assert interpreter.loop == tuple(0x7F00_0000_0000 + address for address in found.loop)
    assert 0 < found.loop[1] - found.loop[0] < 100
    assert (interpreter.language, interpreter.version, interpreter.layout) == (
        "python",
        "3.11.2",
        "cpython-3.11",
    )


def test_a_file_without_a_loop_or_types(tmp_path: Path) -> None:
    found = recognise(tmp_path, RUNTIME + version(0x030B02F0))
    assert found is not None
    assert found.attach(0x1000).loop == (0, 0)
    assert found.types.at(0x1000).code == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0x030C01F0, "3.12.1"),
        (0x030D00B4, "3.13.0b4"),
        (0x030B00A3, "3.11.0a3"),
        (0x030B0070, "3.11.0?0"),
        (0x04000000, "4.0.0?0"),
    ],
)
def test_an_unsupported_version(tmp_path: Path, number: int, text: str) -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        recognise(tmp_path, RUNTIME + version(number))
    assert (caught.value.language, caught.value.version, caught.value.supported) == ("Python", text, "3.11")


@pytest.mark.parametrize("source", [RUNTIME, "void *_PyThreadState_Current = &_PyThreadState_Current;"])
def test_an_older_version(tmp_path: Path, source: str) -> None:
    with pytest.raises(UnsupportedVersion, match=r"Python older than 3\.11 is not supported"):
        recognise(tmp_path, source)
