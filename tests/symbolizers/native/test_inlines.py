"""Inlined functions and source lines, from DWARF in the file or in its debug file, which may lie."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.frame import INLINED, NATIVE, Frame
from symbolizers.native.inlines import MOST_INLINED, Inlines
from symbolizers.native.symbols import NativeSymbols
from tests.support.elf_programs import build

SOURCE = """\
static inline __attribute__((always_inline)) int inner(volatile int *x) { return *x * 3; }
static inline __attribute__((always_inline)) int middle(volatile int *x) { return inner(x) + 1; }
__attribute__((noinline)) int outer(volatile int *x) {
    int y = middle(x);
    return y * 7;
}
int main(int c, char **v) { return outer(&c); }
"""


def symbol(path: Path, name: str) -> int:
    found = ElfFile.from_bytes(path.read_bytes()).symbol(name)
    assert found is not None
    return found.address


def lines_of(elf: ElfFile, start: int, debug: ElfFile | None = None) -> list[tuple[Frame, tuple[Frame, ...]]]:
    """What is at each of the first instructions of the function at `start`."""
    symbols = NativeSymbols(elf, "program", debug)
    found = [symbols.find_inlined(address) for address in range(start, start + 16)]
    return [(function.frame, inlined) for function, inlined in found if function.start == start]


def has_all(found: list[tuple[Frame, tuple[Frame, ...]]]) -> bool:
    """Whether the read is in `inner` in `middle` in `outer`, and the rest is in `outer` alone."""
    inlined = {
        (frame._replace(file=""), tuple(each._replace(file="") for each in inner)) for frame, inner in found
    }
    chain = (Frame(INLINED, "middle", "", 2), Frame(INLINED, "inner", "", 1))
    return (Frame(NATIVE, "outer", "", 4), chain) in inlined and (
        Frame(NATIVE, "outer", "", 5),
        (),
    ) in inlined


@pytest.mark.parametrize("flags", [(), ("-no-pie",), ("-gz",)], ids=["pie", "fixed", "compressed"])
def test_inlined_functions_and_lines(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = build(tmp_path, "program", "-O2", "-g", *flags, source=SOURCE)
    assert has_all(lines_of(ElfFile.from_bytes(path.read_bytes()), symbol(path, "outer")))


def test_they_are_found_in_the_debug_file(tmp_path: Path) -> None:
    path, debug = build(tmp_path, "program", "-O2", "-g", source=SOURCE), tmp_path / "program.debug"
    start = symbol(path, "outer")
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["strip", path], check=True)
    stripped, separate = ElfFile.from_bytes(path.read_bytes()), ElfFile.from_bytes(debug.read_bytes())
    assert has_all(lines_of(stripped, start, separate))


def test_without_dwarf_there_are_names_alone(tmp_path: Path) -> None:
    path = build(tmp_path, "program", "-O2", source=SOURCE)
    found = lines_of(ElfFile.from_bytes(path.read_bytes()), symbol(path, "outer"))
    assert {*found} == {(Frame(NATIVE, "outer", "program"), ())}


def test_names_are_demangled_and_the_outermost_ones_are_kept(tmp_path: Path) -> None:
    inline = "inline __attribute__((always_inline))"
    depth = MOST_INLINED + 9
    next_one = "if constexpr (N > 0) return f<N - 1>(x); else return *x;"
    source = [f"template <int N> {inline} int f(volatile int *x) {{ {next_one} }}"]
    source += [f'extern "C" int outer(volatile int *x) {{ return f<{depth}>(x); }}']
    path = tmp_path / "library.so"
    command = ["g++", "-O2", "-g", "-shared", "-fPIC", "-std=c++17", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input="\n".join(source), text=True, check=True)
    found = lines_of(ElfFile.from_bytes(path.read_bytes()), symbol(path, "outer"))
    names = max(([frame.name for frame in inlined] for _, inlined in found), key=len)
    assert names == [f"int f<{level}>(int volatile*)" for level in range(depth, depth - MOST_INLINED, -1)]


def test_a_function_of_another_start_is_another_one(tmp_path: Path) -> None:
    path = build(tmp_path, "program", "-O2", "-g", source=SOURCE)
    inlines, start = Inlines(ElfFile.from_bytes(path.read_bytes())), symbol(path, "outer")
    assert inlines.find(start, start) is not None
    assert inlines.find(start, start - 8) is None
    assert inlines.find(0, start) is None


def test_a_file_that_lies_is_malformed_or_says_something_else(tmp_path: Path) -> None:
    path = build(tmp_path, "program", "-O2", "-g", source=SOURCE)
    content, start = path.read_bytes(), symbol(path, "outer")
    draw = random.Random(7)
    parsed = 0
    for _ in range(300):
        forged = bytearray(content)
        for _ in range(draw.randrange(1, 40)):
            forged[draw.randrange(len(forged))] = draw.randrange(256)
        with suppress(Malformed):
            Inlines(ElfFile.from_bytes(bytes(forged))).find(start, start)
            parsed += 1
    assert parsed > 10
    with pytest.raises(Malformed):
        Inlines(ElfFile.from_bytes(content[: len(content) // 2]))
