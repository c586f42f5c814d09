"""Which files hold a CPython, and of which version: real ones, and libraries with only its symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed, UnsupportedVersion
from symbolizers.python.language import PythonFile, PythonLanguage
from symbolizers.python.layouts import LAYOUTS, SUPPORTED
from tests.support.elf_programs import build

RUNTIME = "char _PyRuntime[1024] = {1};"
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


def test_the_part_of_the_loop_that_the_compiler_put_elsewhere(tmp_path: Path) -> None:
    source = '__attribute__((cold, noinline)) int rare(int n) { asm(""); return n + 1; }\n'
    source += "int _PyEval_EvalFrameDefault(int n) {\n  for (int i = 0; i < n; i++) {\n"
    source += "".join(f"    if (n % {7 + each} == 3) n += rare(n) * rare({each});\n" for each in range(8))
    source += "  }\n  return n;\n}\n"
    source += RUNTIME + version(0x030B02F0)
    path = build(tmp_path, "library.so", "-shared", "-fPIC", "-O2", source=source)
    elf = ElfFile.from_bytes(path.read_bytes())
    found = PythonLanguage().recognise(elf)
    cold = elf.symbol("_PyEval_EvalFrameDefault.cold")
    assert found is not None
    assert cold is not None
    start, end = found.cold_loop
    assert start == cold.address
    assert end >= cold.address + cold.size
    assert found.attach(0x1000).cold_loop == (start + 0x1000, end + 0x1000)


def test_a_file_without_a_loop_or_types(tmp_path: Path) -> None:
    found = recognise(tmp_path, RUNTIME + version(0x030B02F0))
    assert found is not None
    assert found.attach(0x1000).loop == found.attach(0x1000).cold_loop == (0, 0)
    assert found.types.at(0x1000).code == 0


def capi(*names: str) -> str:
    """C of functions that do nothing."""
    return "".join(f"int {name}(void) {{ return 0; }}\n" for name in names)


SERIES = {
    "2.7": capi("PyCapsule_New"),
    "3.6": capi("PyCapsule_New", "PyBytes_FromString"),
    "3.7": capi("PyBytes_FromString", "PyThread_tss_create"),
    "3.8": capi("PyThread_tss_create", "PyConfig_InitPythonConfig"),
    "3.9": capi("PyThread_tss_create", "PyConfig_InitPythonConfig", "PyThreadState_GetFrame"),
    "3.10": capi("PyThreadState_GetFrame", "PyModule_AddObjectRef"),
}
OLD_RUNTIME = """
void *_PyThreadState_Current = &_PyThreadState_Current;
static void *interp_head;
void *PyInterpreterState_Head(void) { return interp_head; }
void set_head(void *head) { interp_head = head; }
"""


def old(series: str, text: str = "") -> str:
    """C of a Python of `series` that holds `text`."""
    root = OLD_RUNTIME if series in ("2.7", "3.6") else RUNTIME
    loop = "int PyEval_EvalFrameEx(int n) { return n; }" if series == "2.7" else LOOP
    return root + TYPES + loop + SERIES[series] + (f'const char *text = "{text}";' if text else "")


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("level", ["rc1", "", "+"])
def test_an_older_version_by_its_functions_and_its_text(tmp_path: Path, series: str, level: str) -> None:
    found = recognise(tmp_path, old(series, f"{series}.4{level}"))
    assert found is not None
    assert found.version == f"{series}.4{level.rstrip('+')}"
    assert found.row is LAYOUTS.find(tuple(map(int, series.split("."))))
    assert found.root
    assert found.loop[1] > found.loop[0] > 0


@pytest.mark.parametrize("text", ["", "13.8.4", "3.8.4.5", "3.9.1", "3.8"])
def test_without_the_text_the_series_is_known(tmp_path: Path, text: str) -> None:
    found = recognise(tmp_path, old("3.8", text))
    assert found is not None
    assert found.version == "3.8"


def test_two_texts_are_none(tmp_path: Path) -> None:
    found = recognise(tmp_path, old("3.8", "3.8.4") + 'const char *other = "3.8.5";')
    assert found is not None
    assert found.version == "3.8"


def test_the_head_of_the_list_that_is_not_named(tmp_path: Path) -> None:
    path = build(tmp_path, "library.so", "-shared", "-fPIC", source=old("2.7"))
    by_symbol = PythonLanguage().recognise(ElfFile.from_bytes(path.read_bytes()))
    by_code = recognise(tmp_path, old("2.7"))
    assert by_symbol is not None
    assert by_code is not None
    assert by_code.root == by_symbol.root


def test_a_list_that_is_returned_in_another_way(tmp_path: Path) -> None:
    source = old("2.7").replace("return interp_head;", "return (char *)interp_head + 1;")
    with pytest.raises(Malformed, match="PyInterpreterState_Head"):
        recognise(tmp_path, source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (RUNTIME + version(0x030B00A3), "3.11.0a3"),
        (RUNTIME + version(0x030B0070), "3.11.0?0"),
        (RUNTIME + version(0x03050AF0), "3.5.10"),
        (RUNTIME + version(0x030D00B4), "3.13.0b4"),
        (RUNTIME + version(0x04000000), "4.0.0?0"),
        (old("3.9", "3.9.0b2"), "3.9.0b2"),
        (old("3.8", "3.8.1") + "long _Py_RefTotal;", "3.8.1 with Py_DEBUG"),
        (OLD_RUNTIME + capi("PyCapsule_New", "PyBytes_FromString"), "3.0 to 3.5"),
        (OLD_RUNTIME, "older than 2.7"),
    ],
)
def test_an_unsupported_version(tmp_path: Path, source: str, text: str) -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        recognise(tmp_path, source)
    assert (caught.value.language, caught.value.version) == ("Python", text)
    assert caught.value.supported == SUPPORTED
