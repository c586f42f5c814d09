"""The doctor: asked about this very machine, with and without what a recording needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler import doctor, preflight
from profiler.capture.kernel_source import KernelSource
from profiler.doctor import Report, RunningInterpreter
from profiler.doctor_text import to_json, to_text
from profiler.errors import PrerequisiteError
from profiler.preflight import Check
from symbolizers.process.memory import available_strategies
from symbolizers.python.layouts import SUPPORTED
from tests.support.elf_programs import build
from tests.support.live.harness import PIDFLAME
from tests.support.process.targets import ROOT, running

PATIENCE_S = 60.0
PARTS = ("network", "limits", "oom_score", "capabilities", "seccomp")
"""Of the sandbox; the first takes CAP_SYS_ADMIN."""

FROM_THE_FUTURE = r"""
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

char _PyRuntime[4096] = {1};
const unsigned Py_Version = 0x020800F0;

int main(void) {
    char byte;
    prctl(PR_SET_NAME, "a\x1b[31m;\xff");
    puts("ready");
    fflush(stdout);
    return read(0, &byte, 1);
}
"""
"""It claims to be CPython 2.8.0, and has a name that would colour a terminal."""


def ask(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, PIDFLAME, "doctor", *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S
    )


def ask_json(*wrapper: str) -> tuple[int, Any]:
    done = ask("--json", wrapper=wrapper)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def pids_of(document: Any, language: str, *, supported: bool) -> dict[int, str]:
    return {
        process["pid"]: process["name"]
        for each in document["interpreters"]
        if each["language"] == language and each["supported"] is supported
        for process in each["processes"]
    }


@pytest.fixture
def future_python(tmp_path: Path) -> Iterator[int]:
    """A process of an interpreter that is not supported."""
    program = build(tmp_path, "python2.8", "-rdynamic", source=FROM_THE_FUTURE)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


@pytest.mark.live
def test_all_is_well_on_a_machine_that_records() -> None:
    with running("heap", 1) as target:
        code, document = ask_json()
    assert (code, document["works"]) == (0, True)
    assert not [name for name, check in document["checks"].items() if check["required"] and not check["ok"]]
    assert target.pid in pids_of(document, "python", supported=True)
    checks = {name: check["found"] for name, check in document["checks"].items()}
    assert checks["kernel"] == os.uname().release
    assert checks["read_strategy"] == available_strategies()[0].value
    assert checks["kptr_restrict"] == Path("/proc/sys/kernel/kptr_restrict").read_text().strip()
    assert "python" in checks["sampler"]
    packages = document["checks"]["debug_packages"]
    assert f"{Path(os.path.realpath(sys.executable)).name}-dbg" in packages["found"] + packages["problem"]


@pytest.mark.live
def test_the_keys_stay_what_they_are() -> None:
    _, document = ask_json()
    assert list(document) == ["works", "checks", "interpreters", "not_looked_at"]
    assert list(document["checks"]) == [
        *("architecture", "kernel", "container", "capabilities", "lockdown", "btf", "bpf_jit", "pagemap"),
        *("bcc", "libbpf", "kptr_restrict", "compiled_sampler", "perf_event_paranoid", "process_vm_pidfd"),
        *("process_vm_nowait", "read_strategy", "pagemap_scan", "swap", "debug_packages"),
        *("sandbox", "sampler"),
    ]
    assert all(list(check) == ["ok", "required", "found", "problem"] for check in document["checks"].values())


@pytest.mark.live
def test_without_capabilities_it_says_which_and_how_to_get_them() -> None:
    code, document = ask_json("setpriv", "--bounding-set=-bpf,-perfmon")
    assert (code, document["works"]) == (3, False)
    failed = [name for name, check in document["checks"].items() if check["required"] and not check["ok"]]
    assert failed == ["capabilities"]
    problem = document["checks"]["capabilities"]["problem"]
    assert problem.startswith("missing CAP_PERFMON CAP_BPF")
    assert f"sudo {os.path.realpath(PIDFLAME)} record" in problem
    assert "sampler" not in document["checks"]


@pytest.mark.live
def test_the_sandbox_of_the_worker_is_shown_as_far_as_it_holds() -> None:
    code, document = ask_json()
    whole = {"ok": True, "required": False, "found": ", ".join(PARTS), "problem": ""}
    assert document["checks"]["sandbox"] == whole
    code, document = ask_json("setpriv", "--bounding-set=-sys_admin")
    assert (code, document["works"]) == (0, True)
    limited = document["checks"]["sandbox"]
    assert (limited["ok"], limited["found"]) == (False, ", ".join(PARTS[1:]))
    assert f"{PARTS[0]} (Operation not permitted)" in limited["problem"]


@pytest.mark.live
def test_in_a_pid_namespace_of_its_own_nothing_can_be_recorded() -> None:
    wrapper = ("unshare", "--pid", "--fork", "--mount-proc")
    code, document = ask_json(*wrapper)
    assert (code, document["works"]) == (3, False)
    assert document["checks"]["container"]["found"] == "own namespaces: pid"
    assert "--pid=host" in document["checks"]["container"]["problem"]


@pytest.mark.live
def test_other_namespaces_of_a_container_do_no_harm() -> None:
    code, document = ask_json("unshare", "--uts", "--ipc")
    assert code == 0
    assert document["checks"]["container"] == {
        "ok": True,
        "required": True,
        "found": "own namespaces: uts, ipc",
        "problem": "",
    }


@pytest.mark.live
def test_an_interpreter_of_no_known_version_is_shown_with_those_that_are(future_python: int) -> None:
    code, document = ask_json()
    assert code == 0
    assert pids_of(document, "python", supported=False)[future_python] == r"a\x1b[31m;\xff"
    (found,) = [each for each in document["interpreters"] if each["version"] == "2.8.0"]
    assert found["supported_versions"] == SUPPORTED
    assert found["process_count"] == 1
    text = ask().stdout
    assert rf"limited python 2.8.0: a\x1b[31m;\xff ({future_python})" in text
    assert f"(supported: python {SUPPORTED})" in text
    assert "\x1b" not in text


def test_without_the_bcc_bindings_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['bcc'] = None; from profiler.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
    )
    assert done.returncode == 3
    assert "MISSING bcc" in done.stdout
    assert "python3-bpfcc" in done.stdout
    assert done.stdout.endswith("a recording does not work here: see above\n")


@pytest.mark.live
def test_a_sampler_that_the_kernel_refuses_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_source: KernelSource) -> None:
        raise PrerequisiteError("the kernel said no: ask it nicely")

    monkeypatch.setattr(KernelSource, "load", refused)
    report = doctor.examine(["record"])
    assert not report.works
    assert report.checks[-1] == Check("sampler", "refused", "the kernel said no: ask it nicely")


@pytest.mark.parametrize(
    ("level", "fails"), [("none", False), ("integrity", False), ("confidentiality", True)]
)
def test_lockdown(level: str, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = ("none", "integrity", "confidentiality")
    file = tmp_path / "lockdown"
    file.write_text(" ".join(f"[{name}]" if name == level else name for name in levels) + "\n")
    monkeypatch.setattr(preflight, "_LOCKDOWN", file)
    (check,) = [check for check in preflight.required_checks([]) if check.name == "lockdown"]
    assert (check.found, not check.ok) == (level, fails)


def test_names_are_bounded_in_number() -> None:
    crowd = tuple((pid, "ruby") for pid in range(1, 301))
    report = Report(
        (Check("kernel", "6.1"),), (RunningInterpreter("ruby", "3.1.7", "", crowd),), {"stalled": 2}
    )
    (written,) = json.loads(to_json(report))["interpreters"]
    assert (written["process_count"], len(written["processes"])) == (300, 100)
    text = to_text(report)
    assert "ruby (1), ruby (2), ruby (3), ruby (4), ruby (5) and 295 more\n" in text
    assert "could not be looked at: stalled 2" in text
