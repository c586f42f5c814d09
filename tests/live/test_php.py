"""PHP on the real kernel, each with a truth from the target's own CPU clock or its own backtrace."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import pytest

from tests.support.live.harness import WORKLOADS, Recorded, assert_split, is_frame_of, record

HZ = 100
PHP = "/usr/bin/php"
OPCACHE = ("-d", "opcache.enable_cli=1")
MODES = {
    "interpreted": (),
    "opcache": (*OPCACHE, "-d", "opcache.jit=off"),
    "tracing-jit": (*OPCACHE, "-d", "opcache.jit_buffer_size=64M", "-d", "opcache.jit=tracing"),
    "function-jit": (*OPCACHE, "-d", "opcache.jit_buffer_size=64M", "-d", "opcache.jit=function"),
}
SHARES = ("heavy_share", "medium_share", "light_share")


def of_php(stack: Sequence[str]) -> list[str]:
    """The frames below the native ones that an interpreter of PHP runs, root first, by name."""
    last = max((at for at, frame in enumerate(stack) if ".php:" in frame), default=0)
    return [frame.partition(" (")[0] for frame in stack[1 : last + 1]]


def recorded_of(tmp_path: Path, command: Sequence[str], *options: str) -> Recorded:
    recorded = record(tmp_path, "-F", str(HZ), *options, command=command)
    recorded.accounted()
    assert sum(recorded.stats["dropped"].values()) <= 0.05 * recorded.stats["samples"], recorded.said
    return recorded


@pytest.mark.parametrize("mode", MODES)
def test_split_through_closures_and_internal_functions(tmp_path: Path, mode: str) -> None:
    command = [PHP, *MODES[mode], str(WORKLOADS / "split.php"), "--cpu-seconds", "4"]
    recorded = recorded_of(tmp_path, command)
    assert_split(recorded, recorded.truth["cpu_s"])
    expected = sum(recorded.truth["cpu_s"].values()) * HZ
    assert abs(sum(recorded.within(name) for name in SHARES) - expected) <= 3 * sqrt(expected)
    chain = ["{main}", "Splitter::split", *["Splitter::descend"] * 40]
    for stack in recorded.stacks:
        found = of_php(stack)
        if any(is_frame_of(frame, name) for frame in stack for name in SHARES):
            assert found[: len(chain)] == chain, stack
            assert found[len(chain)].startswith("Splitter::{closure"), stack  # from 8.4 on with its place
            assert found[len(chain) + 1].removeprefix("Splitter::") in SHARES, stack
    mapped = recorded.where(lambda stack: "array_map" in stack)
    assert mapped >= 0.5 * recorded.within("medium_share")
    assert recorded.where(lambda stack: "similar_text" in stack) >= 0.7 * recorded.within("light_share")


@pytest.mark.parametrize("mode", ["interpreted", "tracing-jit"])
def test_a_thousand_frames_are_there(tmp_path: Path, mode: str) -> None:
    arguments = ["--cpu-seconds", "2", "--depth", "1000"]
    recorded = recorded_of(tmp_path, [PHP, *MODES[mode], str(WORKLOADS / "split.php"), *arguments])
    deep = recorded.where(lambda stack: of_php(stack).count("Splitter::descend") == 1000)
    assert deep >= 0.95 * sum(recorded.within(name) for name in SHARES) > 50


PAUSED = r"""<?php
namespace App;
function now() { return microtime(true); }
function leaf($until) {
    $frames = array_map(fn ($f) => [($f['class'] ?? '') . (isset($f['class']) ? '::' : '') . $f['function'],
        $f['file'] ?? '', $f['line'] ?? 0], debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS));
    echo json_encode(['frames' => $frames]), "\n"; $n = 0; while (microtime(true) < $until) $n++;
}
class Made {
    public function __call($name, $arguments) { return leaf($arguments[0]); }
    public static function of($until) { yield from self::inner($until); }
    private static function inner($until) { yield (new Made)->missing($until); }
    public function __destruct() { }
}
function sorted($until) {
    $both = [2, 1];
    usort($both, function ($a, $b) use ($until) { foreach (Made::of($until) as $_); return $a - $b; });
}
try {
    throw new \Exception();
} catch (\Exception $e) {
} finally {
    eval('\App\sorted(' . (now() + 2) . ');');
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_stack_is_what_php_says_from_inside(tmp_path: Path, mode: str) -> None:
    """Names, files and running lines of all callers; a generator that delegates, and an included file."""
    (tmp_path / "paused.php").write_text(PAUSED)
    program = tmp_path / "main.php"
    program.write_text("<?php\n\nrequire_once __DIR__ . '/paused.php';\n")
    options = ("--lines", "--full-paths")
    recorded = recorded_of(tmp_path, [PHP, *MODES[mode], str(program)], *options)
    said = recorded.truth["frames"]
    names = [name for name, _, _ in said]
    places = [f" ({file}:{line})" if file else "" for _, file, line in said]
    callers = [name + place for name, place in zip([*names[1:], "{main}"], places, strict=True)]
    assert {"App\\Made::__call", "App\\Made::of", "usort", "App\\sorted", "eval", "require_once"} < {*names}
    expected = callers[::-1]
    whole = burning = 0
    for stack, count in recorded.stacks.items():
        if any(frame.startswith("App\\leaf (") for frame in stack):
            burning += count
            whole += count if list(stack[1 : len(expected) + 1]) == expected else 0
    assert whole == burning > 0.5 * HZ, (expected, recorded.stacks.most_common(3))


def test_lines_are_those_that_run(tmp_path: Path) -> None:
    program = tmp_path / "lines.php"
    program.write_text(
        "<?php\n"
        "function work($until) {\n"
        "  $total = 0;\n"
        "  while (microtime(true) < $until) {\n"
        "    for ($n = 0;\n"
        "         $n < 20000; $n++)\n"
        "      $total += $n & 7;\n"
        "  }\n"
        "}\n"
        "work(microtime(true) + 3);\n"
    )
    recorded = recorded_of(tmp_path, [PHP, str(program)], "--lines")
    shown = f"{tmp_path.name}/{program.name}"
    lines = {
        line: recorded.where(lambda stack, line=line: f"work ({shown}:{line})" in stack) for line in (6, 7)
    }
    assert sum(lines.values()) > 0.9 * recorded.within("work") > 100, recorded.stacks
    assert min(lines.values()) > 20
    assert any(f"{{main}} ({shown}:10)" in stack for stack in recorded.stacks)
