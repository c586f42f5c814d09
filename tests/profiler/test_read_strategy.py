"""--read-strategy: from the command line to the reader, and refused where the kernel can't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from socket import socketpair
from unittest.mock import create_autospec

import pytest

from profiler.commands import recording
from profiler.commands.record import READ_STRATEGIES, _worker_options
from profiler.errors import PrerequisiteError
from symbolizers import worker
from symbolizers.process.memory import ReadStrategy, available_strategies
from symbolizers.process.sandbox import Sandbox
from tests.support.live.harness import PIDFLAME, parse_folded

PATIENCE_S = 60.0


def record(output: Path, strategy: str) -> subprocess.CompletedProcess[str]:
    command = [PIDFLAME, "record", "-F", "100", "-o", str(output), "--read-strategy", strategy]
    program = "import time\ndef busy():\n    while time.process_time() < 0.5: pass\nbusy()"
    return subprocess.run(
        [*command, "--", sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.live
@pytest.mark.parametrize("strategy", ["auto", "kernel", "resident"])
def test_a_recording_reads_as_it_is_told_or_says_that_it_cant(strategy: str, tmp_path: Path) -> None:
    output = tmp_path / "out.folded"
    done = record(output, strategy)
    if strategy == "auto" or ReadStrategy(strategy) in available_strategies():
        assert done.returncode == 0, done.stderr
        stacks = parse_folded(output.read_text())
        assert any(frame.startswith("busy (") for stack in stacks for frame in stack)
    else:
        assert done.returncode == PrerequisiteError.exit_code
        assert done.stderr.startswith("pidflame: --read-strategy kernel: this kernel lacks PROCESS_VM_PIDFD")
        assert not output.exists()


def test_a_strategy_that_the_kernel_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "available_strategies", lambda: (ReadStrategy.RESIDENT,))
    recording._check_strategy("auto")
    recording._check_strategy("resident")
    with pytest.raises(PrerequisiteError, match="PROCESS_VM_NOWAIT"):
        recording._check_strategy("kernel")


def test_each_strategy_is_an_option_that_the_worker_gets() -> None:
    assert ("auto", *(strategy.value for strategy in ReadStrategy)) == READ_STRATEGIES
    assert _options() == []
    assert _options(read_strategy="resident") == ["--read-strategy=resident"]
    assert _options(inlines=True) == ["--inlines"]


def test_lines_are_read_for_who_wants_them_and_for_every_recording_that_is_kept() -> None:
    assert _options(lines=True) == _options(outputs=["a.pidflame"]) == _options(outputs=[]) == ["--lines"]
    assert _options(outputs=["a.svg", "b.html"]) == ["--lines"]


def _options(**given: object) -> list[str]:
    usual = {"lines": False, "read_strategy": "auto", "outputs": ["a.svg", "-"], "format_name": None}
    usual |= {"inlines": False, "debuginfod": False}
    return _worker_options({**usual, **given})


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        ([], None),
        (["--lines"], None),
        (["--lines", "--read-strategy=kernel"], ReadStrategy.KERNEL),
        (["--read-strategy=resident"], ReadStrategy.RESIDENT),
    ],
)
def test_the_worker_hands_it_to_its_readers(
    options: list[str], strategy: ReadStrategy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ReadStrategy | None] = []
    sandbox = create_autospec(Sandbox)
    monkeypatch.setattr(worker, "Service", lambda *, strategy, **_: made.append(strategy))
    ours, theirs = socketpair()
    with theirs:
        ours.close()
        worker.work(sandbox, theirs, options)
    sandbox.enter.assert_called_once_with()
    assert made == [strategy]
