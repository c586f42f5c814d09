"""`pidflame record` on every PHP at hand, on the real kernel, in roots of their own. Takes minutes."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interpreters.at_hand import Php, phps
from tests.interpreters.fpm import fpm
from tests.support.live.harness import Recorded, Recording, assert_shares, assert_split, record

HZ = 200
PLACED = re.compile(r"(\S+) \((/.*):(\d+)\)")
"""A frame with a source file; that of eval'd code has parentheses in its name."""
UNIQUE = re.compile(r"\0[^\0]*?:\d+\$[0-9a-f]+")
"""What makes the name of an anonymous class unique."""
LEAF = "App\\leaf"
EACH_S = "0.2"
"""How long each of the calls of ``calls.php`` burns.

A call's own functions are soon gone, and only a new leaf wakes the recorder before its next regular look,
which is 0.15 s away at most.
"""
AMONG_THE_CALLED = {"include", "include_once", "require", "require_once", "eval", "App\\inner", "array_map"}
"""Some of what a program that makes all calls has to have called."""


def label(php: Php) -> str:
    return f"{php.name}-{php.mode}"


def in_modes(cells: Sequence[str], accept: Callable[[Php], bool] = lambda php: True) -> Any:
    """Parametrizes by each PHP in its modes, where `accept` says so.

    `cells`: the columns of the plain mode, of opcache, and of both JITs.
    """
    columns = dict(zip(("plain", "opcache", "tracing", "function"), (*cells, cells[-1]), strict=True))
    return pytest.mark.parametrize(
        "php",
        [
            pytest.param(mode, marks=pytest.mark.cell(columns[mode.mode]), id=label(mode))
            for php in phps()
            for mode in php.modes()
            if accept(mode)
        ],
    )


in_plain_mode = pytest.mark.parametrize("php", phps(), ids=lambda php: php.name)


def of_php(stack: Sequence[str]) -> list[str]:
    """PHP's frames, root first; internal functions are those without a file."""
    frames = [frame for frame in stack[1:] if not frame.startswith("[") and not frame.endswith("_[k]")]
    return [frame for frame in frames if PLACED.fullmatch(frame) or not frame.endswith(")")]


def names(stack: Sequence[str]) -> list[str]:
    """The functions of PHP's frames, root first."""
    return [frame.partition(" (")[0] for frame in of_php(stack)]


def few_dropped(recorded: Recorded) -> None:
    recorded.accounted()
    # Those of the program that entered the root count as changed: it was replaced while they waited.
    dropped = sum(recorded.stats["dropped"].values())
    assert dropped <= 0.05 * recorded.stats["samples"] + 5, recorded.stats["dropped"]


def recorded_in(tmp_path: Path, command: list[str], *options: str) -> Recorded:
    recorded = record(tmp_path, "-F", str(HZ), *options, command=command)
    few_dropped(recorded)
    return recorded


@pytest.mark.cell("container")
@in_modes(("split", "opcache", "JIT"))
def test_split_is_within_four_sigma_in_a_container(php: Php, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, php.command("split.php", "4", "40", contained=True))
    assert_split(recorded, recorded.truth["cpu_s"])
    above = {
        "heavy_share": [[]],
        "medium_share": [[], ["array_walk"], ["array_walk", "Splitter::{closure}"]],
        "light_share": [[], ["similar_text"], ["strrev"], ["substr"]],
    }
    chain = ["{main}", "Splitter::split", *["Splitter::descend"] * 40, "Splitter::{closure}"]
    seen = dict.fromkeys(above, 0)
    for stack, count in recorded.stacks.items():
        found = [re.sub(r"\{closure:.*\}", "{closure}", name) for name in names(stack)]
        for name, ends in above.items():
            if f"Splitter::{name}" in found:
                at = found.index(f"Splitter::{name}")
                assert found[:at] == chain, stack
                assert found[at + 1 :] in ends, stack
                seen[name] += count
    assert min(seen.values()) > 0.05 * HZ * 4, seen
    in_internal = recorded.within("similar_text") + recorded.within("strrev")
    assert in_internal >= 0.8 * recorded.within("light_share")


@in_plain_mode
@pytest.mark.cell("1,000 deep")
def test_a_thousand_deep(php: Php, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, php.command("split.php", "2", "1000"))
    deep = recorded.where(lambda stack: names(stack).count("Splitter::descend") == 1000)
    assert deep >= 0.9 * sum(recorded.within(name) for name in recorded.truth["cpu_s"]) > 100
    assert not recorded.within("[truncated]")


def expected(said: str) -> list[tuple[str, str, int]]:
    """Function, file and running line of each frame, root first, of what a leaf said.

    PHP gives each function the place that it is called from. Functions that internal ones call have none, but
    for those called by ``Closure::__invoke``, which get the place of its own call.
    """
    file, line, backtrace = json.loads(said)
    frames = []
    for entry in backtrace:
        scope, function = (UNIQUE.sub("", entry.get(key, "")) for key in ("class", "function"))
        name = f"{scope}::{function}" if scope else function
        frames.append((name, "", 0) if name == "Closure::__invoke" else (name, file, line))
        file, line = entry.get("file", ""), entry.get("line", 0)
    return [*([("{main}", file, line)] if file else []), *reversed(frames)]


def shown(frame: str) -> tuple[str, str, int]:
    """The same of a frame in a recording."""
    match = PLACED.fullmatch(frame)
    return (match[1], match[2], int(match[3])) if match else (frame, "", 0)


def without_line(frames: Sequence[tuple[str, str, int]]) -> tuple[tuple[str, str, int], ...]:
    """`frames` without the line of the last one."""
    name, file, _ = frames[-1]
    return (*frames[:-1], (name, file, 0))


def assert_exact(recorded: Recorded, said: str, php: Php) -> None:
    """Every stack of a leaf is one that it said, and each of those was seen, or counted as dropped.

    Now and then a leaf is entered or left when it is sampled, and so on another line than it said. Code that
    the JIT has made does not keep its line.
    """
    stacks = [expected(line) for line in said.splitlines()]
    told = {without_line(stack) for stack in stacks}
    assert {name for stack in told for name, _, _ in stack} >= AMONG_THE_CALLED
    assert len(told) == len(stacks) > 40
    seen: Counter[tuple[tuple[str, str, int], ...]] = Counter()
    lines: Counter[int] = Counter()
    for stack, count in recorded.stacks.items():
        frames = [shown(frame) for frame in of_php(stack)]
        leaf = next((at for at, frame in enumerate(frames) if frame[0] == LEAF), None)
        if leaf is not None:
            seen[without_line(frames[: leaf + 1])] += count
            lines[frames[leaf][2]] += count
    wrong = Counter({stack: count for stack, count in seen.items() if stack not in told})
    assert not wrong, wrong
    missing = told - set(seen)
    assert 0.5 * len(missing) * float(EACH_S) * HZ <= sum(recorded.stats["dropped"].values()), missing
    assert php.compiles or lines[stacks[0][-1][2]] > 0.99 * lines.total(), lines


@pytest.mark.cell("include, eval")
@pytest.mark.cell("generator")
@pytest.mark.cell("fiber")
@in_modes(("exact stack", "opcache", "JIT"))
def test_a_stack_is_what_php_says_from_inside(php: Php, tmp_path: Path) -> None:
    """Every frame, with its file and the line that runs, of a function that burns where it asked."""
    output = tmp_path / "said"
    command = php.command("modes.php", "exact", EACH_S, contained=True)
    script = f'exec "$@" > {output}'
    recorded = recorded_in(tmp_path, ["sh", "-c", script, "sh", *command], "--lines", "--full-paths")
    assert_exact(recorded, output.read_text(), php)


@pytest.mark.cell("FPM")
@in_modes(("FPM", "opcache", "JIT"), lambda php: php.mode != "function")
def test_a_worker_of_fpm_shows_the_request_that_it_serves(php: Php, tmp_path: Path) -> None:
    with fpm(php) as server:
        server.ask("modes.php", "exact+0.001")  # With opcache, all is compiled then.
        only = [word for worker in server.workers for word in ("-p", str(worker))]
        recording = Recording(tmp_path, ["-F", str(HZ), "--lines", "--full-paths", *only])
        said = server.ask("modes.php", f"exact+{EACH_S}")
        recorded = recording.finish()
    few_dropped(recorded)
    assert_exact(recorded, said, php)
    assert {stack[0].partition(" (")[0] for stack in recorded.stacks} == {Path(php.sibling("php-fpm")).name}


@in_modes(("leaf's line", "leaf's line", "JIT"), lambda php: not php.compiles)
def test_the_line_of_a_leaf_that_calls_nothing(php: Php, tmp_path: Path) -> None:
    """Three lines' shares of the CPU time; in memory, the frame has only the line of its last call."""
    recorded = recorded_in(tmp_path, php.command("modes.php", "lines", "4"), "--lines", "--full-paths")
    counts: Counter[str] = Counter()
    for stack, count in recorded.stacks.items():
        for name, _, line in map(shown, of_php(stack)):
            if name == "App\\on_lines":
                counts[str(line)] += count
    truth = recorded.truth["cpu_s"]
    samples = {line: counts[line] for line in truth}
    assert_shares(samples, truth)
    assert sum(samples.values()) > 0.98 * counts.total(), counts


@in_plain_mode
@pytest.mark.cell("new closures")
def test_closures_made_in_a_loop_keep_their_samples(php: Php, tmp_path: Path) -> None:
    """Each is a copy of its function at another address, and soon gone."""
    recorded = recorded_in(tmp_path, php.command("modes.php", "closures", "3"))
    inside = recorded.where(lambda stack: names(stack)[1:2] == ["App\\Maker::new_closures"])
    closures = recorded.where(lambda stack: "{closure" in "".join(names(stack)[2:3]))
    assert inside > 0.9 * 3 * HZ * 0.9
    assert closures > 0.9 * inside


@in_plain_mode
@pytest.mark.cell("fork")
def test_children_of_fork(php: Php, tmp_path: Path) -> None:
    recorded = recorded_in(tmp_path, php.command("modes.php", "fork", "2"))
    children = {stack[0] for stack in recorded.stacks if "App\\in_the_child" in names(stack)}
    assert len(children) == 2
    assert recorded.within("in_the_child") > 0.5 * HZ


@in_plain_mode
@pytest.mark.cell("short-lived")
def test_processes_that_live_a_moment(php: Php, tmp_path: Path) -> None:
    command = php.command("modes.php", "short", "2", php.program, *php.options)
    recorded = record(tmp_path, "-F", str(HZ), command=command)
    recorded.accounted()
    processes = {stack[0] for stack in recorded.stacks if "App\\at_once" in names(stack)}
    assert len(processes) >= 19
    assert recorded.within("at_once") > 0.5 * HZ


@pytest.mark.parametrize("php", [mode for php in phps() for mode in php.modes()], ids=label)
def test_the_programs_run(php: Php) -> None:
    """Without a profiler: a program that fails says so here."""
    for mode in ("exact", "lines", "closures", "fork", "short"):
        command = php.command("modes.php", mode, "0.001", php.program, *php.options)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            json.loads(line)
