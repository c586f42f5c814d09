"""`pidflame record` on every CPython at hand, on the real kernel, in roots of their own. Takes minutes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.interpreters.at_hand import Python, pythons
from tests.support.live.harness import Recorded, assert_split, is_frame_of, record

HZ = 200
FIRST_WITH_SUBINTERPRETERS = (3, 8)
FUNCTIONS = ("heavy_share", "medium_share", "light_share")


@pytest.fixture(params=pythons(), ids=lambda python: python.name)
def python(request: pytest.FixtureRequest) -> Python:
    found: Python = request.param
    return found


def names(stack: tuple[str, ...]) -> list[str]:
    """The bare names of the interpreter's frames, root first: those of source files."""
    frames = [frame for frame in stack[1:] if ".py:" in frame]
    return [frame.partition(" (")[0].rpartition(".")[2] for frame in frames]


def assert_exact(recorded: Recorded, depth: int) -> None:
    """Every stack that burns is the one that the program makes, and nothing else."""
    burning = 0
    for stack, count in recorded.stacks.items():
        found = names(stack)
        if found[-1:] == ["burn"]:
            chain = ["<module>", "main", "__init__", "called_from_c", *["descend"] * depth]
            assert found[:-2] == chain, stack
            assert found[-2] in FUNCTIONS
            burning += count
    assert burning >= 0.95 * sum(recorded.within(function) for function in FUNCTIONS) > 100


@pytest.mark.cell("split")
@pytest.mark.cell("container")
def test_split_is_within_four_sigma_in_a_container(python: Python, tmp_path: Path) -> None:
    command = python.command("split.py", "4", "40", contained=True)
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    assert_split(recorded, recorded.truth["cpu_s"])
    assert_exact(recorded, 40)
    # Samples of the program that entered the root count as changed: it was replaced while they waited.
    dropped = sum(recorded.stats["dropped"].values())
    assert dropped <= 0.05 * recorded.stats["samples"], recorded.stats["dropped"]


@pytest.mark.cell("exact stack")
@pytest.mark.cell("generator")
@pytest.mark.cell("exception")
def test_a_stack_is_what_python_says_from_inside(python: Python, tmp_path: Path) -> None:
    """Every frame, with its file and line: the expression that burns also asks Python for its callers."""
    output = tmp_path / "said"
    command = ["sh", "-c", f'exec "$@" > {output}', "sh", *python.command("modes.py", "paused", "2")]
    recorded = record(tmp_path, "-F", str(HZ), "--lines", "--full-paths", command=command)
    said = [(name, f"{file}:{line}") for name, file, line in json.loads(output.read_text())]
    assert {"generating", "handling", "finishing", "called_from_c", "__init__"} <= {name for name, _ in said}
    exact = 0
    for stack, count in recorded.stacks.items():
        placed = [match for frame in stack[1:] if (match := re.fullmatch(r"(.*) \(([^()]*:\d+)\)", frame))]
        found = [(match[1].rpartition(".")[2], match[2]) for match in reversed(placed)]
        burning = [
            at for at, (name, place) in enumerate(found) if name == "<genexpr>" and "modes.py:" in place
        ]
        if burning:
            assert found[burning[0] :] == said, stack
            exact += count
    assert exact > 0.5 * HZ


@pytest.mark.cell("short-lived")
def test_processes_that_live_a_moment(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=python.command("modes.py", "short", "2"))
    recorded.accounted()
    processes = {stack[0] for stack in recorded.stacks if any("at_once" in frame for frame in stack)}
    assert len(processes) >= 19
    assert recorded.within("at_once") > 0.5 * HZ


@pytest.mark.cell("1,000 deep")
def test_a_thousand_deep(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=python.command("split.py", "2", "1000"))
    assert_exact(recorded, 1000)
    assert not recorded.within("[truncated]")


@pytest.mark.cell("without the GIL")
@pytest.mark.cell("fork")
def test_every_thread_shows_its_own_stack_and_so_does_a_child(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=python.command("threads.py", "2"))
    counts = dict.fromkeys(("compressing", "spinning", "in_the_child", "warming_up"), 0)
    for stack, count in recorded.stacks.items():
        found = {name for name in counts if any(is_frame_of(frame, name) for frame in stack)}
        assert "compressing" not in found or len(found) == 1, stack
        assert not {"in_the_child", "warming_up"} <= found, stack
        if any("libz.so" in frame for frame in stack):
            assert found == {"compressing"}, stack
        for name in found:
            counts[name] += count
    assert min(counts.values()) > 0.3 * HZ, counts


@pytest.mark.parametrize(
    "python",
    [python for python in pythons() if python.version >= FIRST_WITH_SUBINTERPRETERS],
    ids=lambda python: python.name,
)
def test_a_thread_in_another_interpreter_shows_what_it_runs_there(python: Python, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=python.command("subinterpreter.py", "2"))
    assert recorded.within("in_the_second") > 1.2 * HZ, recorded.stacks.most_common(5)
