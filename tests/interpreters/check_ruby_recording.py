"""`pidflame record` on every Ruby at hand, on the real kernel, in roots of their own. Takes minutes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import pytest

from tests.interpreters.at_hand import Ruby, rubies
from tests.support.live.harness import Recorded, assert_split, record

HZ = 200
FIRST_WITH_RACTORS = (3, 0)
FIRST_WITH_CLASSES = (3, 4)
PLACED = re.compile(r"(.*) \(([^()]*:\d+)\)|(<main>) \([^()]*\)")
"""A frame with a source file; a main program's first line is 0, and is not shown."""
CLASS = re.compile(r"[\w:]+[#.](?=[^#.]+$)")
"""The class before a method's name at a label's end, which Rubies before 3.4 leave out."""


@pytest.fixture(params=rubies(), ids=lambda ruby: ruby.name)
def ruby(request: pytest.FixtureRequest) -> Ruby:
    found: Ruby = request.param
    return found


def of_ruby(stack: Sequence[str]) -> list[tuple[str, str]]:
    """Label and ``file:line`` of Ruby's frames, root first; for C functions just the name."""
    frames = [frame for frame in stack[1:] if not frame.startswith("[") and not frame.endswith("_[k]")]
    placed = [(frame, PLACED.fullmatch(frame)) for frame in frames]
    return [
        (match[1] or match[3], match[2] or "") if match else (frame, "")
        for frame, match in placed
        if match or not frame.endswith(")")
    ]


def names(stack: Sequence[str]) -> list[str]:
    """The labels of Ruby's frames, root first."""
    return [label for label, _ in of_ruby(stack)]


def recorded_in(tmp_path: Path, command: list[str], *options: str) -> Recorded:
    recorded = record(tmp_path, "-F", str(HZ), *options, command=command)
    recorded.accounted()
    # Samples of the program that entered the root count as changed: it was replaced while they waited.
    dropped = sum(recorded.stats["dropped"].values())
    assert dropped <= 0.05 * recorded.stats["samples"] + 5, recorded.stats["dropped"]
    return recorded


@pytest.mark.cell("split")
@pytest.mark.cell("C function")
@pytest.mark.cell("blocks")
@pytest.mark.cell("container")
def test_split_is_within_four_sigma_in_a_container(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("split.rb", "4", "40", contained=True))
    assert_split(recorded, recorded.truth["cpu_s"])
    above = {
        "heavy_share": [()],
        "medium_share": [("Integer#times",), ("Integer#times", "block in Splitter#medium_share")],
        "light_share": [
            (),
            ("Integer#times",),
            ("Integer#times", "block in Splitter#light_share"),
            ("Integer#times", "block in Splitter#light_share", "String#tr"),
            ("Integer#times", "block in Splitter#light_share", "String#squeeze"),
        ],
    }
    chain = ["<main>", "Splitter#split", *["Splitter#descend"] * 40, "block in Splitter#split"]
    seen = dict.fromkeys(above, 0)
    for stack, count in recorded.stacks.items():
        found = names(stack)
        for name, ends in above.items():
            if f"Splitter#{name}" in found:
                at = found.index(f"Splitter#{name}")
                assert found[:at] in ([*chain, "Kernel#public_send"], chain), stack
                assert tuple(found[at + 1 :]) in [*ends, ("Integer#>",), ("Integer#+",)], stack
                seen[name] += count
    assert min(seen.values()) > 0.05 * HZ * 4, seen
    squeezed = recorded.within("squeeze") + recorded.within("tr")
    assert squeezed >= 0.8 * recorded.within("light_share")


@pytest.mark.cell("1,000 deep")
def test_a_thousand_deep(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("split.rb", "2", "1000"))
    deep = recorded.where(lambda stack: names(stack).count("Splitter#descend") == 1000)
    assert deep >= 0.9 * sum(recorded.within(name) for name in recorded.truth["cpu_s"]) > 100
    assert not recorded.within("[truncated]")


@pytest.mark.cell("exact stack")
def test_a_stack_is_what_ruby_says_from_inside(ruby: Ruby, tmp_path: Path) -> None:
    """Every frame of a method that burns on the line where it asked for its callers: label, path, line."""
    command = ruby.command("modes.rb", "paused", "2", contained=True)
    output = tmp_path / "said"
    script = f'exec "$@" > {output}'
    recorded = recorded_in(tmp_path, ["sh", "-c", script, "sh", *command], "--lines", "--full-paths")
    said = [tuple(entry) for entry in json.loads(output.read_text())]
    exact = 0
    for stack, count in recorded.stacks.items():
        found = of_ruby(stack)
        leaf = next((at for at, (label, _) in enumerate(found) if label.endswith("Leaf.burn")), None)
        if leaf is not None:
            shown = found[leaf::-1]
            if ruby.version < FIRST_WITH_CLASSES:
                shown = [(CLASS.sub("", label), where) for label, where in shown]
            assert shown == [expected(*entry) for entry in said]
            exact += count
    assert exact > 0.5 * HZ


def expected(label: str, path: str, line: int) -> tuple[str, str]:
    """What should show for a frame as Ruby told it; Ruby gives C functions the place of their call."""
    is_c = label in ("each", "eval", "Array#each", "Kernel#eval")
    return label, "" if is_c else f"{path}:{line}"


@pytest.mark.cell("without the GVL")
def test_every_thread_shows_its_own_stack(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("modes.rb", "threads", "2"))
    compressing, spinning = recorded.within("compressing"), recorded.within("spinning")
    assert min(compressing, spinning) > 0.1 * HZ, (compressing, spinning)
    for stack in recorded.stacks:
        found = names(stack)
        assert not {"Object#compressing", "Object#spinning"} <= {*found}, stack
        if "Zlib.deflate" in found:
            assert "Object#compressing" in found, stack
    in_c = recorded.where(lambda stack: any("libz.so" in frame for frame in stack))
    assert in_c >= 0.5 * compressing


@pytest.mark.parametrize(
    "ruby",
    [ruby for ruby in rubies() if ruby.version >= FIRST_WITH_RACTORS],
    ids=lambda ruby: ruby.name,
)
@pytest.mark.cell("two ractors")
def test_two_ractors_show_each_its_own_stack(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("modes.rb", "ractors", "2"))
    first, second = recorded.within("in_the_first"), recorded.within("in_the_second")
    assert min(first, second) > 0.5 * HZ, (first, second)
    assert not recorded.where(
        lambda stack: {"Object#in_the_first", "Object#in_the_second"} <= {*names(stack)}
    )


@pytest.mark.cell("fiber")
def test_a_fiber_that_runs_stands_on_those_that_resumed_it(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("modes.rb", "fiber", "2"))
    inner = ["block (2 levels) in <main>", "Object#resumed"]
    expected = ["<main>", "Fiber#resume", "block in <main>", "Fiber#resume", *inner]
    whole = recorded.where(lambda stack: names(stack)[: len(expected)] == expected)
    assert whole == recorded.within("resumed") > 0.5 * HZ


@pytest.mark.cell("garbage")
def test_callers_stay_while_garbage_is_collected(ruby: Ruby, tmp_path: Path) -> None:
    """The recording sees as much garbage collection as Ruby tells."""
    output = tmp_path / "said"
    script = f'exec "$@" > {output}'
    command = ["sh", "-c", script, "sh", *ruby.command("modes.rb", "garbage", "3")]
    recorded = recorded_in(tmp_path, command)
    allocating = recorded.where(lambda stack: names(stack)[:2] == ["<main>", "Object#allocating"])
    assert allocating == recorded.within("allocating") > 0.5 * HZ
    collecting = recorded.where(lambda stack: "[gc]" in stack and "Object#allocating" in names(stack))
    assert collecting > 0.1 * HZ
    said_ms = json.loads(output.read_text())
    if said_ms is not None:  # Ruby tells it from 3.1 on
        expected = said_ms / 1000 * HZ
        assert abs(collecting - expected) < 4 * sqrt(expected) + 0.1 * expected, (collecting, expected)


@pytest.mark.cell("garbage")
def test_a_thread_beside_collects_no_garbage(ruby: Ruby, tmp_path: Path) -> None:
    """The thread beside compresses, without the GVL."""
    recorded = recorded_in(tmp_path, ruby.command("modes.rb", "garbage-beside", "2"))
    in_c = recorded.where(lambda stack: any("libz.so" in frame for frame in stack))
    assert in_c > 5  # few from 3.3 on: the thread waits for its turn at the GVL most of the time
    assert recorded.where(lambda stack: "[gc]" in stack) > 0.05 * HZ
    assert not recorded.where(lambda stack: "[gc]" in stack and any("libz.so" in frame for frame in stack))


@pytest.mark.cell("fork")
def test_children_of_a_preforking_server(ruby: Ruby, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, ruby.command("modes.rb", "fork", "2"))
    children = {stack[0] for stack in recorded.stacks if any("in_the_child" in frame for frame in stack)}
    assert len(children) == 2
    assert recorded.within("in_the_child") > 0.5 * HZ


@pytest.mark.cell("short-lived")
def test_processes_that_live_a_moment(ruby: Ruby, tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=ruby.command("modes.rb", "short", "2", ruby.program))
    recorded.accounted()
    processes = {stack[0] for stack in recorded.stacks if any("at_once" in frame for frame in stack)}
    assert len(processes) >= 19
    assert recorded.within("at_once") > 0.5 * HZ


def test_the_programs_run(ruby: Ruby) -> None:
    """They run without a profiler here, so that a program that fails says so."""
    for mode in ("threads", "fiber", "garbage", "fork", "short", "paused"):
        command = ruby.command("modes.rb", mode, "0.01", ruby.program)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
