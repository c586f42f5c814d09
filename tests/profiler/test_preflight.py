"""What a recording needs of the machine is checked first, and what is missing comes with advice."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from profiler import preflight
from profiler.errors import PrerequisiteError
from symbolizers.process.capabilities import Capability
from tests.support.process.targets import ROOT


@pytest.mark.root
def test_root_misses_nothing() -> None:
    assert preflight.missing_capabilities() == []
    preflight.check([])


@pytest.mark.root
@pytest.mark.parametrize(
    ("release", "enough"),
    [
        ("5.10.0", True),
        ("5.10-rc1", True),
        ("6.1", True),
        ("6.18.44-fc-v595", True),
        ("10.0.1+", True),
        ("5.7.19", False),
        ("4.19.0-27-amd64", False),
        ("3.10.0-1160.el7.x86_64", False),
    ],
)
def test_the_ring_buffer_decides_which_kernel_is_too_old(
    release: str, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    if enough:
        preflight.check([])
    else:
        with pytest.raises(PrerequisiteError, match=rf"Linux {re.escape(release)} is too old") as caught:
            preflight.check([])
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("release", "setting", "refused"),
    [("6.1.0", "0\n", True), ("5.15.0", "0\n", False), ("6.1.0", "1\n", False), ("6.1.0", None, False)],
)
def test_a_kernel_that_compiles_no_programs_is_refused_from_5_17_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, setting: str | None, refused: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    monkeypatch.setattr(preflight, "_JIT", tmp_path / "bpf_jit_enable")
    if setting is not None:
        (tmp_path / "bpf_jit_enable").write_text(setting)
    (found,) = (each for each in preflight.required_checks([]) if each.name == "bpf_jit")
    assert bool(found.problem) is refused
    assert "net.core.bpf_jit_enable=1" in found.problem or not refused


def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(PrerequisiteError, match="aarch64"):
        preflight.check([])


@pytest.mark.root
@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ("-checkpoint_restore", []),
        ("-sys_admin", []),
        ("-checkpoint_restore,-sys_admin", ["CAP_CHECKPOINT_RESTORE"]),
        ("-bpf,-sys_ptrace", ["CAP_SYS_PTRACE", "CAP_BPF"]),
    ],
)
def test_mapped_files_take_either_of_two_capabilities(without: str, missing: list[str]) -> None:
    program = "from profiler.preflight import missing_capabilities; print(missing_capabilities())"
    command = ("setpriv", f"--bounding-set={without}", sys.executable, "-c", program)
    assert subprocess.check_output(command, cwd=ROOT, text=True) == f"{missing}\n"


def test_missing_capabilities_come_with_commands_to_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "missing_capabilities", lambda: ["CAP_BPF", "CAP_PERFMON"])
    monkeypatch.setattr(sys, "argv", ["/usr/bin/env"])
    with pytest.raises(PrerequisiteError) as caught:
        preflight.check(["record", "-o", "a file.svg"])
    said = str(caught.value)
    assert said.startswith("missing CAP_BPF CAP_PERFMON")
    assert "sudo /usr/bin/env record -o 'a file.svg'" in said
    assert "--inh-caps=+bpf,+perfmon --ambient-caps=+bpf,+perfmon" in said


def test_capabilities_have_the_numbers_of_the_kernels_header() -> None:
    header = Path("/usr/include/linux/capability.h").read_text()
    numbers = dict(re.findall(r"#define (CAP_\w+)\s+(\d+)$", header, re.MULTILINE))
    assert {f"CAP_{each.name}": str(each.value) for each in Capability}.items() <= numbers.items()
