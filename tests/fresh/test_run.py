"""What is made of a run's result, and what a fresh machine is told of this one."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.fresh import machine, roots, run
from tests.fresh.roots import RootInUse, fresh_root
from tests.fresh.run import Outcome, read_result

RESULT = """<testsuites><testsuite>
<testcase classname="tests.a" name="passes"/>
<testcase classname="tests.a" name="passes[too]"><system-out>text</system-out></testcase>
<testcase classname="tests.a" name="fails"><failure message="assert 1 == 2&#10;x">trace</failure></testcase>
<testcase classname="tests.b" name="breaks"><error message="no such file">trace</error></testcase>
<testcase classname="tests.b" name="left"><skipped message="no KVM here"/></testcase>
</testsuite></testsuites>"""


def test_a_result_names_all_that_did_not_pass(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(RESULT)
    counts, remarks = read_result(file)
    assert counts == {"passed": 2, "failed": 2, "skipped": 1}
    assert remarks == [
        "failed: tests.a::fails: assert 1 == 2",
        "failed: tests.b::breaks: no such file",
        "skipped: tests.b::left: no KVM here",
    ]


def test_without_a_result_nothing_passed(tmp_path: Path) -> None:
    counts, remarks = read_result(tmp_path / "none")
    assert not Outcome("trixie", True, True, counts, remarks).good


@pytest.mark.parametrize(
    ("counts", "demo", "good"),
    [
        (Counter(passed=2074), True, True),
        (Counter(passed=2074), False, False),
        (Counter(passed=2074, skipped=1), True, False),
        (Counter(passed=2074, failed=1), True, False),
    ],
)
def test_all_must_run_and_pass(counts: Counter[str], demo: bool, good: bool) -> None:
    assert Outcome("trixie", demo, True, counts, []).good is good


def test_an_outcome_counts() -> None:
    outcome = Outcome("trixie", True, False, Counter(passed=2074, failed=3), [])
    assert str(outcome) == "trixie: demo ok, test FAILED, 2,074 passed, 3 failed, 0 skipped"


@pytest.fixture
def without_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Roots under `tmp_path`, in which nothing of this machine and no clone is put."""
    (tmp_path / "trixie").mkdir()
    monkeypatch.setattr(roots, "FRESH", tmp_path)
    monkeypatch.setattr(machine, "hand_on", lambda *_: None)
    monkeypatch.setattr(roots, "_clone", lambda _: None)


@pytest.mark.usefixtures("without_machine")
def test_two_runs_share_no_root() -> None:
    with fresh_root("trixie") as root:
        (root / "first").touch()
        with pytest.raises(RootInUse, match=r"another run uses .*/trixie\.run"), fresh_root("trixie"):
            pass
        with fresh_root("trixie", keep=True) as kept:
            assert kept != root
        assert (root / "first").exists()
    with fresh_root("trixie") as root:
        assert not (root / "first").exists()


@pytest.mark.usefixtures("without_machine")
def test_a_root_in_use_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "is_committed", lambda: True)
    monkeypatch.setattr(sys, "argv", ["run.py", "trixie"])
    with fresh_root("trixie") as root:
        assert run.main() == 1
    assert capsys.readouterr().err == f"another run uses {root}: wait until it has ended\n"


def test_pips_options_are_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both = "file:///a/simple\n  file:///b/simple"
    (tmp_path / "pip.conf").write_text(
        f"[global]\ntimeout = 7\nextra-index-url = {both}\n[install]\nretries = 3\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    options = machine.pip_environment()
    assert (options["PIP_TIMEOUT"], options["PIP_RETRIES"]) == ("9", "3")
    assert options["PIP_EXTRA_INDEX_URL"].split() == ["file:///a/simple", "file:///b/simple"]


def test_folders_that_pip_looks_in_are_bound(tmp_path: Path) -> None:
    index, wheels = tmp_path / "index" / "simple", tmp_path / "wheels"
    index.mkdir(parents=True)
    wheels.mkdir()
    variables = {
        "PIP_EXTRA_INDEX_URL": f"https://host/simple file://{index}",
        "PIP_FIND_LINKS": f"{wheels} {tmp_path}/missing",
        "SSL_CERT_DIR": str(tmp_path),
    }
    assert machine.bound_directories(variables) == [str(tmp_path / "index"), str(wheels)]
