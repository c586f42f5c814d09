"""Names of native addresses: symbols, stripped files, demangling, memory without a file."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.frame import NATIVE, Frame
from symbolizers.native.symbols import NativeSymbols, vdso
from symbolizers.native.unnamed import MAX_NAME_CHARS, VDSO_PATH, mapping_frame, module_name
from tests.support.elf_programs import build


def _native(name: str, module: str = "") -> Frame:
    return Frame(NATIVE, name, module)


def _symbols(path: Path, module: str = "library.so") -> NativeSymbols:
    return NativeSymbols(ElfFile.from_bytes(path.read_bytes()), module)


def _address(path: Path, name: str) -> int:
    symbol = ElfFile.from_bytes(path.read_bytes()).symbol(name)
    assert symbol is not None
    return symbol.address


def test_a_symbol_of_the_module(tmp_path: Path) -> None:
    path = build(tmp_path, "program")
    symbols = _symbols(path, "program")
    address = _address(path, "hidden_helper")
    assert symbols.find(address + 1)[0] == _native("hidden_helper", "program")
    assert symbols.find(address + 1).frame is symbols.find(address).frame
    start, end = symbols.find(address)[1:]
    assert start == address
    assert symbols.find(end - 1) == symbols.find(address)
    assert symbols.find(end).frame != symbols.find(address).frame


def test_a_stripped_function_is_its_start_and_the_rest_is_the_address(tmp_path: Path) -> None:
    path = build(tmp_path, "program")
    helper = _address(path, "hidden_helper")
    subprocess.run(["strip", str(path)], check=True)
    symbols = _symbols(path, "my program")
    assert symbols.find(helper)[0] == symbols.find(helper + 2)[0] == _native(f"[my program+{helper:#x}]")
    end = symbols.find(helper).end
    assert symbols.find(end - 1).start == helper != symbols.find(end).start
    assert symbols.find(0x7FFF0000) == (_native("[my program+0x7fff0000]"), 0x7FFF0000, 0x7FFF0001)


def test_cpp_names_are_demangled(tmp_path: Path) -> None:
    source = """
    namespace engine { template <class T> struct Wheel { T turn(T by, const char *why) { return by; } }; }
    template struct engine::Wheel<int>;
    """
    path = tmp_path / "library.so"
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)
    address = _address(path, "_ZN6engine5WheelIiE4turnEiPKc")
    assert _symbols(path).find(address)[0] == _native(
        "engine::Wheel<int>::turn(int, char const*)", "library.so"
    )


def _named_by(symbol: str, directory: Path) -> str:
    """The name of a function whose symbol is `symbol`."""
    source = f'int function(void) __asm__("{symbol}"); int function(void) {{ return 1; }}'
    path = build(directory, "library.so", "-shared", "-fPIC", source=source)
    return _symbols(path).find(_address(path, symbol))[0].name


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
        ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
        ("_Znonsense", "_Znonsense"),
        ("_Rnonsense", "_Rnonsense"),
        ("_Z", "_Z"),
        ("Java_Foo_bar", "Java_Foo_bar"),
    ],
)
def test_rust_names_and_what_only_looks_mangled(symbol: str, name: str, tmp_path: Path) -> None:
    assert _named_by(symbol, tmp_path) == name


def test_names_are_bounded(tmp_path: Path) -> None:
    for symbol in ("n" * 5000, "_Z" + f"3000{'n' * 3000}" + "v"):
        name = _named_by(symbol, tmp_path)
        assert len(name) == MAX_NAME_CHARS
        assert name.endswith("n…")
    assert len(mapping_frame("/" + "m" * 5000, 0).name) < MAX_NAME_CHARS + 32


def test_names_that_are_no_text_are_still_names(tmp_path: Path) -> None:
    path = build(tmp_path, "library.so", "-shared", "-fPIC", "-s", source="int name_xx(void) { return 1; }")
    address = _address(path, "name_xx")
    path.write_bytes(path.read_bytes().replace(b"name_xx\0", b"n;\n_\xff\x1b \0"))
    assert _symbols(path).find(address)[0] == _native("n;\n_\\xff\x1b ", "library.so")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/lib/libc.so.6", "libc.so.6"),
        ("/tmp/_MEI1/libpython3.11.so (deleted)", "libpython3.11.so"),
        ("/opt/my app/tool", "tool"),
        ("[vdso]", "[vdso]"),
    ],
)
def test_module_names(path: str, name: str) -> None:
    assert module_name(path) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/mnt/dead/libgone.so (deleted)", "[libgone.so+0x1230]"),
        ("[vdso]", "[vdso+0x1230]"),
        ("", "[jit]"),
        ("[heap]", "[heap]"),
        ("[anon:v8]", "[anon:v8]"),
        ("/dev/zero (deleted)", "[jit]"),
        ("/memfd:doublemapper (deleted)", "[memfd:doublemapper]"),
    ],
)
def test_memory_without_a_readable_file(path: str, name: str) -> None:
    assert mapping_frame(path, 0x1230) == _native(name)


def test_the_vdso_is_named_from_our_own_copy() -> None:
    symbols = NativeSymbols(vdso(), VDSO_PATH)
    line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if "[vdso]" in line)
    start, end = (int(word, 16) for word in line.split()[0].split("-"))
    elf = ElfFile.from_bytes(ctypes.string_at(start, end - start))
    clock = elf.symbol("__vdso_clock_gettime")
    assert clock is not None
    assert symbols.find(clock.address)[0] == _native("clock_gettime", "[vdso]")
    assert symbols.find(end - start + 0x10)[0] == _native(f"[vdso+{end - start + 0x10:#x}]")


def test_a_real_library_by_the_dynamic_linkers_addresses() -> None:
    """The file gives the addresses of libc's functions the names by which dlsym finds them here."""
    libc = ctypes.CDLL("libc.so.6")
    line = next(
        line
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "libc.so.6" in line and " r-xp " in line
    )
    start, offset = int(line.split("-")[0], 16), int(line.split()[2], 16)
    with open(line.split(maxsplit=5)[5], "rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        symbols = NativeSymbols(elf, "libc.so.6")
        for name in ("malloc", "qsort", "getenv", "read", "write", "nanosleep"):
            address = ctypes.cast(getattr(libc, name), ctypes.c_void_p).value
            assert address is not None
            assert symbols.find(address - elf.bias(start, offset))[0] == _native(name, "libc.so.6")
