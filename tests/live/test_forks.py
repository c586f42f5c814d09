"""Forks that live for milliseconds: over before anyone can look at them, and named all the same."""

from __future__ import annotations

from pathlib import Path

from tests.support.live.harness import record, workload

HZ = 250


def test_functions_of_short_forks_have_their_names(tmp_path: Path) -> None:
    recorded = record(tmp_path, "-F", str(HZ), command=workload("forks.py", "400"))
    recorded.accounted()
    expected = recorded.truth["cpu_s"]["in_the_fork"] * HZ
    assert expected > 400
    assert 0.9 <= recorded.within("in_the_fork") / expected <= 1.1, recorded.said
    assert recorded.stats["dropped"]["exited"] <= 0.02 * recorded.stats["samples"]


def test_subshells_have_symbols(tmp_path: Path) -> None:
    burn = "for ((i = 0; i < 300; i++)); do :; done"
    script = f"for ((n = 0; n < 1500; n++)); do ( {burn} ); done"
    recorded = record(tmp_path, "-F", str(HZ), command=["bash", "-c", script])
    shells = recorded.where(lambda stack: stack[0].startswith("bash "))
    unknown = recorded.where(lambda stack: stack[0].startswith("bash ") and "[not inspected]" in stack)
    assert shells > 100
    assert unknown <= 0.02 * shells, recorded.stacks.most_common(5)
