"""Programs in containers: under their container, with whole stacks and all names, from an overlay."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live.harness import SYSTEM_PYTHON, WORKLOADS, Recorded, Recording, assert_shares, record
from tests.support.live.whole import in_order, of
from tests.support.process.cgroups import cgroup
from tests.support.process.overlays import overlay

HZ = 199
MOST_CUT = 0.3 * HZ
"""The samples of the first moments: until then the unwind tables of the program's files are there."""
MOST_CUT_IN_CONTAINER = HZ
"""The same where each file is new: every overlay has a device of its own."""
CONTAIN = WORKLOADS.with_name("contain.sh")
DIGITS = "3f2a91c0d5e1"
CONTAINER = f"[container {DIGITS}]"
HEAVY = "heavy (heavy/index.js:7)_[j]"
BURN = """\
import os
def leaf(end):
    while os.times()[0] < end: sum(range(99))
def root():
    leaf(os.times()[0] + 3)
root()
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of programs for a container.

    They have been recorded outside of it: what is cold on a new machine is not the container's.
    """
    built = tmp_path_factory.mktemp("programs")
    for compiler, source in (("g++", "whole.cpp"), ("gcc", "jit.c")):
        program = built / source.partition(".")[0]
        command = (compiler, "-O2", "-fomit-frame-pointer", WORKLOADS / source, "-o", program)
        subprocess.run(command, check=True)
    (built / "burn.py").write_text(BURN)
    outside = record(built, "-F", str(HZ), command=[str(built / "whole"), "1"])
    assert outside.exit_code == 0, outside.said
    return built


@pytest.fixture
def folder() -> Iterator[Path]:
    """That of a cgroup with a name as docker's have."""
    with cgroup(f"docker-{DIGITS}{'ab' * 26}.scope") as made:
        yield made


def contain(cgroup_folder: Path, place: Path, programs: Path, *command: str) -> list[str]:
    place.mkdir()
    return [str(CONTAIN), str(cgroup_folder), str(place), str(programs), *command]


def of_program(recorded: Recorded, name: str) -> dict[tuple[str, ...], int]:
    """The stacks of the processes of this name, without the container."""
    found = {}
    for stack, count in recorded.stacks.items():
        if len(stack) > 1 and stack[1].startswith(f"{name} ("):
            assert stack[0] == CONTAINER
            found[stack[1:]] = count
        assert not stack[0].startswith(f"{name} ("), stack
    return found


def cut_of(stacks: dict[tuple[str, ...], int]) -> int:
    """Samples of user code whose stack does not begin where the program did."""
    return sum(
        count
        for stack, count in stacks.items()
        if not stack[1].startswith(("_start (", "_[k]")) and not stack[1].endswith("_[k]")
    )


def test_a_container_has_its_processes_with_all_names(programs: Path, folder: Path, tmp_path: Path) -> None:
    script = f"/opt/whole 5; /opt/jit 3; {SYSTEM_PYTHON} /opt/burn.py"
    command = contain(folder, tmp_path / "root", programs, "sh", "-c", script)
    recorded = record(tmp_path, "-F", str(HZ), "--containers", command=command)
    recorded.accounted()
    native = of_program(recorded, "whole")
    paths = {
        "heavy": ("_start", "main", "heavy", "heavy_compare"),
        "medium": ("_start", "main", *["medium"] * 21),
        "light": ("_start", "main", "light"),
    }
    for name, path in paths.items():
        shown = sum(count for stack, count in native.items() if in_order(stack, path))
        all_of_it = sum(count for stack, count in native.items() if of(path[-1], stack))
        assert shown >= all_of_it - MOST_CUT_IN_CONTAINER, name
    assert sum(native.values()) > 4 * HZ
    assert cut_of(native) <= MOST_CUT_IN_CONTAINER, native
    generated = {stack: count for stack, count in of_program(recorded, "jit").items() if HEAVY in stack}
    assert sum(generated.values()) > HZ
    assert cut_of(generated) <= MOST_CUT_IN_CONTAINER, generated
    python = of_program(recorded, Path(SYSTEM_PYTHON).name)
    burning = [stack for stack in python if any(frame.startswith("leaf (") for frame in stack)]
    assert sum(python[stack] for stack in burning) > 2 * HZ
    for stack in burning:
        assert [frame.partition(" (")[0] for frame in stack[1:4]] == ["<module>", "root", "leaf"], stack


def test_without_the_option_nothing_says_container(programs: Path, folder: Path, tmp_path: Path) -> None:
    command = contain(folder, tmp_path / "root", programs, "/opt/whole", "1")
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    assert recorded.within("spin", root="whole (") > 0.5 * HZ
    assert not any("[container" in stack[0] for stack in recorded.stacks)


def test_processes_outside_have_no_container(programs: Path, folder: Path, tmp_path: Path) -> None:
    outside = [str(programs / "whole"), "2"]
    inside = contain(folder, tmp_path / "root", programs, "/opt/whole", "2")
    recording = Recording(tmp_path, ["-F", str(HZ), "--containers"])
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in (outside, inside)]
    for each in both:
        assert each.wait(timeout=60) == 0
    recorded = recording.finish()
    recorded.accounted()
    counts = {
        "inside": recorded.where(lambda stack: stack[0] == CONTAINER and stack[1].startswith("whole (")),
        "outside": recorded.where(lambda stack: stack[0] == f"whole ({both[0].pid})"),
    }
    assert_shares(counts, {"inside": 1, "outside": 1})


def test_processes_that_are_over_at_once_are_in_their_container_too(
    programs: Path, folder: Path, tmp_path: Path
) -> None:
    script = "i=0; while [ $i -lt 200 ]; do /bin/ls / >/dev/null; i=$((i+1)); done; sleep 1"
    command = contain(folder, tmp_path / "root", programs, "sh", "-c", script)
    recorded = record(tmp_path, "-F", "499", "--containers", command=command)
    recorded.accounted()
    short = of_program(recorded, "ls")
    assert len({stack[0] for stack in short}) > 30, "few of them were sampled"


@pytest.mark.parametrize("copied_up", [False, True])
def test_a_program_on_an_overlay_has_whole_stacks(programs: Path, tmp_path: Path, copied_up: bool) -> None:
    with overlay(tmp_path, programs) as mounted:
        program = mounted / "whole"
        if copied_up:
            os.utime(program)
        for _ in range(2):  # the first recording makes the tables that the second finds
            recorded = record(tmp_path, "-F", str(HZ), command=[str(program), "3"])
    recorded.accounted()
    stacks = {stack: count for stack, count in recorded.stacks.items() if stack[0].startswith("whole (")}
    assert sum(stacks.values()) > 2 * HZ
    assert cut_of(stacks) <= MOST_CUT, stacks
    path = ("_start", "main", "heavy", "heavy_compare")
    assert sum(count for stack, count in stacks.items() if in_order(stack, path)) > HZ
