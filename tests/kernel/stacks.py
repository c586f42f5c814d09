"""What pidflame has to show on every kernel of Debian; run.sh runs it there.

All programs are in one recording, since a guest is slow. What is in /usr there is on an overlay over 9p, what
is in /tmp on a tmpfs; one program is on an overlay of its own.
"""

from __future__ import annotations

import platform
import shlex
import shutil
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from profiler.capture.kernel_names import KernelNames
from profiler.capture.kernel_objects import KernelObjects
from profiler.capture.libbpf import PERF_EVENT, RAW_TRACEPOINT
from profiler.capture.loading import Loading
from profiler.capture.program import Part
from profiler.capture.sampler import Sampler
from tests.support.live.harness import SYSTEM_PYTHON, Recorded, record, workload
from tests.support.live.whole import in_order, is_whole, of
from tests.support.process.cgroups import cgroup
from tests.support.process.overlays import overlay

pytestmark = pytest.mark.timeout(900)

WHOLE = Path(__file__).resolve().parents[2] / ".cache" / "kernels" / "whole"
"""tests/support/live/workloads/whole.cpp, as kernel.mk compiles it."""
PROGRAMS = ("on_sample", "on_record", "on_unwind", "on_fresh", "on_copy", "on_count")
PROGRAMS += ("on_python", "on_name_ruby")
"""Some of those in the sampler."""
RING_PAGES = 64
HZ = 49
ENOUGH = 15
"""Samples of the code in question, at least."""
WHOLE_PART = 0.7
"""Of them are whole, at least: a guest takes seconds to put a table in."""
DIGITS = "3f2a91c0d5e1"
CONTAINER = f"[container {DIGITS}]"
ENTER = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
READS = """\
import time
def reads():
    room = bytearray(1 << 20)
    with open("/dev/zero", "rb", buffering=0) as zeros:
        while time.process_time() < 3:
            zeros.readinto(room)
reads()
"""

Stacks = Counter[tuple[str, ...]]


def test_the_kernel_takes_every_program() -> None:
    """BCC compiles them here, with offsets of this kernel."""
    notes: list[str] = []
    sampler = Sampler(notes.append, use_cache=True)
    programs = {name: program for part in Part for name, program in sampler.get(part).programs.items()}
    assert sampler.cost().cpu_s > 0, "it was compiled elsewhere"
    assert not notes
    assert set(PROGRAMS) <= set(programs)
    with closing(KernelObjects(sampler.get(Part.SAMPLES).maps, RING_PAGES)) as objects:
        for name in programs.keys() - {"on_symbols"}:
            kind = RAW_TRACEPOINT if name in ("on_exec", "on_fork", "on_exit") else PERF_EVENT
            objects.load(kind, name, programs[name])


def test_the_kernel_names_its_functions_from_5_13_on() -> None:
    lines = (line.split() for line in Path("/proc/kallsyms").read_text().splitlines())
    address = next(int(at, 16) for at, _, name, *_ in lines if name == "vfs_read")
    major, minor = map(int, platform.release().split(".")[:2])
    with closing(Loading(HZ)) as loading:
        if (major, minor) < (5, 13):
            with pytest.raises(OSError, match="invalid func unknown"):
                KernelNames(loading)
        else:
            assert KernelNames(loading).of([address]) == {address: b"vfs_read"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A recording of all programs. One before it makes the tables of libraries and of the program in C++."""
    folder = tmp_path_factory.mktemp("stacks")
    (folder / "below").mkdir()
    plain = shutil.copy(WHOLE, folder / "below")
    with ExitStack() as opened:
        mounted = opened.enter_context(overlay(folder, folder / "below"))
        group = opened.enter_context(cgroup(f"docker-{DIGITS}{'ab' * 26}.scope"))
        native = ((plain,), ("sh", "-c", ENTER, "enter", str(group), str(mounted / "whole")))
        first = [(*command, "2") for command in native]
        interpreted = (workload("callback.py"), workload("callback.rb"), (SYSTEM_PYTHON, "-c", READS))
        for commands in (first, [*interpreted, *((*command, "4") for command in native)]):
            # One after the other: a guest has hardly a CPU for what looks into them.
            script = "; ".join(map(shlex.join, commands))
            found = record(folder, "-F", str(HZ), "--containers", command=("sh", "-c", script))
    print(found.said, {name: value for name, value in found.stats.items() if name != "per_process"})
    return found


def stacks_of(recorded: Recorded, name: str, container: str = "") -> Stacks:
    """The stacks of programs of this name in the container, or in none, from their process on."""
    at = int(container != "")
    found: Stacks = Counter()
    for stack, count in recorded.stacks.items():
        if len(stack) > at + 1 and stack[at].startswith(f"{name} (") and stack[0].startswith(container):
            found[stack[at:]] += count
    return found


def assert_whole(stacks: Stacks, *path: str) -> None:
    """Of the samples in the last function of the `path`, most have the whole of it."""
    inside = Counter({stack: count for stack, count in stacks.items() if of(path[-1], stack)})
    whole = sum(count for stack, count in inside.items() if in_order(stack, path))
    assert inside.total() >= ENOUGH, stacks.most_common(20)
    assert whole >= WHOLE_PART * inside.total(), inside.most_common(20)


def test_every_sample_is_accounted_for(recorded: Recorded) -> None:
    assert recorded.exit_code == 0, recorded.said
    recorded.accounted()


# The C code in between is not asked for: a guest makes the table of a whole interpreter too late.
def test_python_on_both_sides_of_c(recorded: Recorded) -> None:
    stacks = stacks_of(recorded, Path(SYSTEM_PYTHON).name)
    assert_whole(stacks, "<module>", "sort_in_c", "compare", "middle", "inmost")


def test_ruby_on_both_sides_of_c(recorded: Recorded) -> None:
    stacks = stacks_of(recorded, "ruby")
    assert_whole(stacks, "<main>", "Object#sort_in_c", "Object#compare", "Object#inmost")


def test_the_kernel_is_above_what_called_it(recorded: Recorded) -> None:
    stacks = stacks_of(recorded, Path(SYSTEM_PYTHON).name)
    inside = {stack: count for stack, count in stacks.items() if stack[-1].endswith("_[k]")}
    reading = sum(count for stack, count in inside.items() if in_order(stack, ("<module>", "reads")))
    assert reading >= ENOUGH, inside


@pytest.mark.parametrize("container", ["", CONTAINER])
def test_a_program_without_frame_pointers_is_whole(recorded: Recorded, container: str) -> None:
    stacks = stacks_of(recorded, "whole", container)
    assert_whole(stacks, "_start", "main", "heavy", "heavy_compare")
    assert_whole(stacks, "_start", "main", *["medium"] * 21)
    whole = sum(count for stack, count in stacks.items() if is_whole(stack))
    assert whole >= WHOLE_PART * stacks.total(), stacks.most_common(20)


def test_a_container_is_above_its_process_alone(recorded: Recorded) -> None:
    contained = {stack[1] for stack in recorded.stacks if stack[0] == CONTAINER and len(stack) > 1}
    outside = {stack[0] for stack in recorded.stacks if stack[0].startswith("whole (")}
    assert any(process.startswith("whole (") for process in contained)
    assert len(outside) == 1
    assert not outside & contained
