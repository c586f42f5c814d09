"""Notes about functions without names."""

from __future__ import annotations

import os

from profiler.debug_packages import debug_packages
from profiler.run.aggregate import CountedStack
from profiler.run.nameless import notes_on
from profiler.run.stacks import Element, NativeAddress
from symbolizers.frame import GENERATED, NATIVE, Frame
from symbolizers.inspection import generated_by
from symbolizers.process.identity import ProcessId
from tests.support.samples import told_file

STRIPPED = NativeAddress(told_file(4), 1, "/opt/zstd")
LIBRARY = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
NODE = NativeAddress(told_file(3), 1, "/usr/bin/node")


def code(pid: int) -> NativeAddress:
    return NativeAddress(generated_by(ProcessId(pid, 1), 0), 0x1000, "")


def named(*stacks: CountedStack, kind: str = NATIVE) -> list[str]:
    elements: set[Element] = {each for stack in stacks for each in stack.elements}
    return notes_on(stacks, {each: Frame(kind, "f", "" if each == STRIPPED else "x") for each in elements})


def test_a_note_says_which_runtime_it_is_and_how_to_get_names() -> None:
    (note,) = named(
        CountedStack((code(7),), 15, 7, 0),
        CountedStack((NODE,), 1, 7, 0),
        CountedStack((NODE, code(8)), 20, 8, 0),
    )
    assert note == (
        "35 samples are in code that node has generated, without names (process 8, 7):"
        " run node with --perf-basic-prof"
    )


def test_a_runtime_that_nobody_knows_has_a_note_too() -> None:
    (note,) = named(*(CountedStack((code(pid),), 10, pid, 0) for pid in range(1, 9)))
    assert note.startswith(
        "80 samples are in code that a runtime has generated, without names (process 1, 2, 3):"
    )


def test_there_is_no_note_where_names_are_or_samples_are_few() -> None:
    assert named(CountedStack((code(7),), 100, 7, 0), kind=GENERATED) == []
    assert named(CountedStack((code(7),), 19, 7, 0), CountedStack((NODE,), 100, 7, 0)) == []


def test_a_note_names_the_stripped_files_with_most_samples() -> None:
    (note,) = named(CountedStack((NODE, STRIPPED), 30, 7, 0), CountedStack((STRIPPED, NODE), 500, 7, 0))
    assert note == (
        "30 samples are in functions without names, since files are stripped of them: zstd;"
        " their debug packages (-dbgsym, -debuginfo) bring the names, or --debuginfod with DEBUGINFOD_URLS,"
        " their distribution's server"
    )
    assert named(CountedStack((NODE, STRIPPED), 30, 7, 0), CountedStack((NODE,), 600, 7, 0)) == []
    assert named(CountedStack((STRIPPED,), 19, 7, 0)) == []


def test_a_note_names_the_debug_packages_of_installed_files() -> None:
    """And what brings the names of a file that no package has, or another one here than in its container."""
    installed = NativeAddress(told_file(os.stat(LIBRARY).st_ino), 1, LIBRARY)
    other = NativeAddress(told_file(1), 1, LIBRARY)
    names: dict[Element, Frame] = dict.fromkeys((installed, other, STRIPPED), Frame(NATIVE, "[x]"))
    (package,) = debug_packages({LIBRARY: installed.file.inode}).values()
    command = f"'apt-get install {package}' (-dbgsym: in debian-debug, ddebs.ubuntu.com) brings the names"
    stacks = [CountedStack((each,), 30, 7, 0) for each in (installed, STRIPPED, other)]
    (note,) = notes_on(stacks[:1], names)
    assert note.endswith(f": libcrypto.so.3; {command}")
    (note,) = notes_on(stacks[:2], names)
    assert note.endswith(f"{command}; --debuginfod with DEBUGINFOD_URLS brings those of others")
    (note,) = notes_on(stacks[2:], names)
    assert "apt-get" not in note
