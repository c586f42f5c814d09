"""Python on the real kernel, each with a truth from the target's own CPU clock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.live.embedded import build_embedded_python
from tests.support.live.harness import (
    SYSTEM_PYTHON,
    Recording,
    assert_split,
    is_frame_of,
    record,
    target,
    workload,
)

HZ = 100


@pytest.fixture(scope="module", params=["static", "shared"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian's static python3 and a program with the shared libpython."""
    if request.param == "static":
        return SYSTEM_PYTHON
    return str(build_embedded_python(tmp_path_factory.mktemp("embedded")))


def test_split_is_within_four_sigma_forty_frames_deep(tmp_path: Path, python: str) -> None:
    command = workload("split.py", "--cpu-seconds", "6", interpreter=python)
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    assert_split(recorded, recorded.truth["cpu_s"])
    deep = recorded.where(lambda stack: sum(is_frame_of(frame, "descend") for frame in stack) == 40)
    burning = sum(recorded.within(name) for name in recorded.truth["cpu_s"])
    assert deep >= 0.99 * burning


def test_samples_are_the_cpu_time_spent(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("split.py", "--cpu-seconds", "20"))
    spent_s = sum(recorded.truth["cpu_s"].values())
    samples = sum(recorded.within(name) for name in recorded.truth["cpu_s"])
    assert 0.97 <= samples / (spent_s * HZ) <= 1.03


def test_twenty_busy_processes_on_two_cores_show_where_they_burn(tmp_path: Path) -> None:
    command = workload("twenty.py", "--processes", "20", "--cpu-seconds", "1")
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    burning = recorded.within("burn_a") + recorded.within("burn_b")
    spent_s = recorded.truth["cpu_s"]
    share = (spent_s["burn_a"] + spent_s["burn_b"]) / sum(spent_s.values())
    assert share > 0.95, "the machine did not let the workload burn"
    assert burning > 0.95 * recorded.within("burn")


def test_recursion_of_five_hundred_is_whole(tmp_path: Path) -> None:
    command = workload("deep.py", "--cpu-seconds", "2", "--depth", "500")
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    burning = recorded.within("leaf_burner")
    whole = recorded.where(lambda stack: sum(is_frame_of(frame, "dive") for frame in stack) == 499)
    assert whole == burning > 100
    assert not recorded.within("[truncated]")


def test_a_stack_too_deep_says_so_at_its_root(tmp_path: Path) -> None:
    command = workload("deep.py", "--cpu-seconds", "1", "--depth", "3000")
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    cut = [stack for stack in recorded.stacks if "[truncated]" in stack]
    assert cut
    for stack in cut:
        assert stack[1] == "[truncated]"
        assert len(stack) >= 1024


def test_only_the_thread_that_runs_is_shown(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("threads.py", "--cpu-seconds", "3"))
    spent_s = recorded.truth["cpu_s"]["runner"]
    assert 0.95 <= recorded.within("runner") / (spent_s * HZ) <= 1.05
    assert recorded.within("waiter") <= 0.01 * recorded.within("runner") + 2


def test_a_thread_without_the_gil_shows_its_own_stack(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("gil.py", "--cpu-seconds", "4"))
    assert_split(recorded, recorded.truth["cpu_s"])
    mixed = recorded.where(
        lambda stack: (
            any(is_frame_of(frame, "compress_caller") for frame in stack)
            and any(is_frame_of(frame, "python_burner") for frame in stack)
        )
    )
    assert mixed == 0
    in_zlib = recorded.where(lambda stack: "(libz.so" in stack[-1] or "[libz.so" in stack[-1])
    compressing = recorded.within("compress_caller")
    assert in_zlib > 0.8 * compressing


def test_a_program_that_starts_and_ends_meanwhile_is_there_by_name(tmp_path: Path) -> None:
    recording = Recording(tmp_path, ["-F", str(HZ)])
    done = subprocess.run(workload("short.py", "--cpu-seconds", "0.5"), capture_output=True, check=True)
    pid = json.loads(done.stdout)["pids"][0]
    recorded = recording.finish()
    recorded.accounted()
    assert recorded.exit_code == 0
    assert recorded.within("short_lived_work", root=f"python3 ({pid})") >= 40


def test_lines_are_those_that_run(tmp_path: Path) -> None:
    program = tmp_path / "lines.py"
    program.write_text(
        "import time\n"
        "def work():\n"
        "    end = time.process_time() + 2\n"
        "    while time.process_time() < end:\n"
        "        sum(range(20000))\n"
        "work()\n"
    )
    options = ("-F", str(HZ), "--full-paths")
    by_definition = record(tmp_path, *options, command=[SYSTEM_PYTHON, str(program)])
    assert any(f"work ({program}:2)" in stack for stack in by_definition.stacks)
    by_line = record(tmp_path, "-F", str(HZ), "--lines", command=[SYSTEM_PYTHON, str(program)])
    shown = f"{tmp_path.name}/lines.py"
    burning = by_line.where(lambda stack: f"work ({shown}:5)" in stack)
    assert burning > 0.9 * by_line.within("work") > 100
    assert any(f"<module> ({shown}:6)" in stack for stack in by_line.stacks)


def test_names_that_would_break_a_file_are_text(tmp_path: Path) -> None:
    program = tmp_path / "evil.py"
    program.write_text(
        "import time\n"
        "def work():\n"
        "    end = time.process_time() + 1\n"
        "    while time.process_time() < end: pass\n"
        "work.__code__ = work.__code__.replace(co_qualname='a;b\\n<script>alert(1)</script>')\n"
        "work()\n"
    )
    svg = tmp_path / "evil.svg"
    recorded = record(tmp_path, "-F", str(HZ), "-o", str(svg), command=[SYSTEM_PYTHON, str(program)])
    expected = f"a:b\\x0a<script>alert(1)</script> ({tmp_path.name}/evil.py:2)"
    assert any(expected in stack for stack in recorded.stacks)
    text = svg.read_text()
    assert "<script>alert" not in text
    assert "a:b\\x0a&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_recording_ends_with_the_process_it_is_of(tmp_path: Path) -> None:
    with target(*workload("split.py", "--cpu-seconds", "2")) as burning:
        recording = Recording(tmp_path, ["-F", str(HZ), "-p", str(burning.process.pid)])
        burning.go()
        truth = burning.truth()
        burning.end()
        recorded = recording.wait()
    recorded.accounted()
    assert {stack[0] for stack in recorded.stacks} == {f"python3 ({burning.process.pid})"}
    assert_split(recorded, truth["cpu_s"])
