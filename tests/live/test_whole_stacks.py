"""Whole stacks: native frames without frame pointers, and the seams between C and interpreted code."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.interpreters.at_hand import Python, pythons_of_the_machine
from tests.support.elf_programs import FOR_DEBUGGERS
from tests.support.live.harness import (
    SYSTEM_PYTHON,
    WORKLOADS,
    Recorded,
    assert_shares,
    record,
    workload,
)
from tests.support.live.whole import in_order, is_whole, of

HZ = 199
MOST_CUT = 0.02 * HZ
"""Samples of the first moments, when not all that a program has mapped is known yet."""
NATIVE = WORKLOADS / "whole.cpp"


@pytest.fixture(scope="module", params=[".eh_frame", ".debug_frame"])
def program(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Its functions are described in that section; those that come with the compiler always in .eh_frame."""
    built = tmp_path_factory.mktemp("whole") / "whole"
    flags = FOR_DEBUGGERS if request.param == ".debug_frame" else ("-fomit-frame-pointer",)
    subprocess.run(["g++", "-O2", *flags, str(NATIVE), "-o", str(built)], check=True)
    return built


def of_program(recorded: Recorded, name: str) -> dict[tuple[str, ...], int]:
    """Its stacks with native frames, but for what the kernel did before the program began."""
    stacks = {stack: count for stack, count in recorded.stacks.items() if stack[0].startswith(f"{name} (")}
    return {stack: count for stack, count in stacks.items() if not stack[1].endswith("_[k]")}


def test_a_program_without_frame_pointers(program: Path, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "6"])
    recorded.accounted()
    stacks = of_program(recorded, "whole")
    total = sum(stacks.values())
    cut = sum(count for stack, count in stacks.items() if not is_whole(stack) and "ld-linux" not in stack[1])
    print(total, cut, [stack for stack in stacks if not is_whole(stack)][:5])
    assert cut <= MOST_CUT + 0.005 * total
    whole = {stack: count for stack, count in stacks.items() if is_whole(stack)}
    paths = {
        "heavy": ("_start", "main", "heavy", "heavy_compare"),
        "medium": ("_start", "main", *["medium"] * 21),
        "light": ("_start", "main", "light"),
    }
    counts = {
        name: sum(count for stack, count in whole.items() if in_order(stack, path))
        for name, path in paths.items()
    }
    assert_shares(counts, recorded.truth)
    assert all(in_order(stack, paths["heavy"]) for stack in whole if of("heavy_compare", stack))
    in_medium = [
        (stack, count) for stack, count in whole.items() if of("medium", stack) and of("spin", stack)
    ]
    assert all(len(of("medium", stack)) == 21 for stack, _ in in_medium)
    in_destructor = sum(
        count for stack, count in whole.items() if in_order(stack, ("light", "Cleans::~Cleans", "spin"))
    )
    assert in_destructor > 0.3 * counts["light"]


FUNCTION = """\
f{0}:
	.cfi_startproc
	push %rbx
	.cfi_def_cfa_offset 16
	pop %rbx
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
"""
FUNCTIONS = 100_000


def test_the_first_recording_of_a_large_program_is_whole(tmp_path: Path) -> None:
    """It is linked statically, and has just been built: to make its table takes a good part of a second."""
    functions, program = tmp_path / "functions.s", tmp_path / "large"
    functions.write_text("".join(map(FUNCTION.format, range(FUNCTIONS))))
    options = ("-O2", "-fomit-frame-pointer", "-static")
    subprocess.run(["g++", *options, str(NATIVE), str(functions), "-o", str(program)], check=True)
    recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "4"])
    recorded.accounted()
    ends = recorded.stats["native_stacks"]
    print(ends)
    assert sum(ends.values()) > 2 * HZ
    assert ends["root"] >= 0.995 * sum(ends.values())
    stacks = of_program(recorded, "large")
    in_medium = {stack: count for stack, count in stacks.items() if of("medium", stack) and of("spin", stack)}
    assert sum(in_medium.values()) > 0.5 * HZ
    assert all(in_order(stack, ("_start", "main", *["medium"] * 21)) for stack in in_medium)


def test_the_second_recording_has_the_tables_that_the_first_made(program: Path, tmp_path: Path) -> None:
    record(tmp_path, "-F", str(HZ), command=[str(program), "0.3"])
    recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "5"])
    stacks = of_program(recorded, "whole")
    cut = sum(count for stack, count in stacks.items() if not is_whole(stack) and "ld-linux" not in stack[1])
    assert cut <= MOST_CUT


@pytest.mark.parametrize(
    ("name", "functions", "between"),
    [
        ("callback.py", ("sort_in_c", "compare", "middle", "inmost"), "libc.so.6"),
        ("callback.rb", ("sort_in_c", "compare", "inmost"), "libc.so.6"),
    ],
)
def test_c_code_that_calls_back_is_where_it_ran(
    tmp_path: Path, name: str, functions: tuple[str, ...], between: str
) -> None:
    for _ in range(2):  # the first recording makes the tables that the second finds
        recorded = record(tmp_path, "-F", str(HZ), command=workload(name))
    recorded.accounted()
    inmost = whole = 0
    for stack, count in recorded.stacks.items():
        if any(frame.split(" ")[0].endswith("inmost") for frame in stack):
            inmost += count
            short = [frame.split(" ")[0].rpartition("#")[2] for frame in stack]
            places = [short.index(function) for function in functions]
            assert places == sorted(places), stack
            called = stack[places[0] + 1 : places[1]]
            whole += (
                count if any(f"({between})" in frame or f"[{between}" in frame for frame in called) else 0
            )
            assert not any("_start" in frame for frame in stack), "what started the program is not shown"
    print(inmost, whole)
    assert inmost > 100
    assert whole >= 0.98 * inmost


def test_an_extensions_work_hangs_below_the_function_that_called_it(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("callback.py"))
    below = above = 0
    for stack, count in recorded.stacks.items():
        if any("(libz.so" in frame or "[libz.so" in frame for frame in stack):
            is_below = any(frame.startswith("squeeze (") for frame in stack)
            below, above = below + count * is_below, above + count * (not is_below)
    assert below > 20
    assert above <= 0.02 * below


CALLS = ("root", "sort", "first", "sort", "second", "sort", "third", "burn")


@pytest.mark.parametrize("python", pythons_of_the_machine(), ids=lambda python: python.name)
def test_each_of_three_levels_of_callbacks_is_where_it_ran(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("nested.py", interpreter=python.program))
    burning, whole = levels(recorded)
    assert burning > HZ
    assert whole >= 0.98 * burning


def test_the_first_recording_of_an_interpreter_has_each_level_where_it_ran(tmp_path: Path) -> None:
    """Nobody has made an unwind table of this file before: stacks of both languages wait for it."""
    program = tmp_path / "python"
    shutil.copy(os.path.realpath(SYSTEM_PYTHON), program)
    command = workload("nested.py", interpreter=str(program))
    recorded = record(tmp_path, "-F", str(HZ), command=command, environment={"PYTHONHOME": "/usr"})
    burning, whole = levels(recorded)
    assert burning > HZ
    assert whole >= 0.98 * burning
    ends = recorded.stats["native_stacks"]
    assert ends["root"] >= 0.98 * sum(ends.values())


def levels(recorded: Recorded) -> tuple[int, int]:
    """Samples of nested.py in its innermost function, and those of them with C code between its levels."""
    recorded.accounted()
    burning = whole = 0
    for stack, count in recorded.stacks.items():
        names = [frame.split(" ")[0] for frame in stack]
        if "burn" not in names:
            continue
        burning += count
        own = [(at, name) for at, name in enumerate(names) if "nested.py:" in stack[at] and name in CALLS]
        assert tuple(name for _, name in own) == CALLS, stack
        places = [at for at, _ in own]
        between = [stack[caller + 1 : called] for caller, called in pairwise(places)]
        calls_c = [called in ("first", "second", "third") for called in CALLS[1:]]
        whole += count * all(
            any("(libc.so.6)" in frame or "[libc.so.6" in frame for frame in found) == is_c
            for found, is_c in zip(between, calls_c, strict=True)
        )
    print(burning, whole, recorded.stats["native_stacks"])
    return burning, whole


def test_what_an_interpreters_own_function_calls_back_is_above_it(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("callback.php", interpreter="php"))
    recorded.accounted()
    inmost = 0
    for stack, count in recorded.stacks.items():
        names = [frame.split(" ")[0] for frame in stack]
        if "inmost" in names:
            inmost += count
            places = [
                names.index(name) for name in ("{main}", "sort_by_callback", "usort", "compare", "inmost")
            ]
            assert places == list(range(places[0], places[0] + 5)), stack
    assert inmost > HZ
