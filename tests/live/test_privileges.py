"""What the processes of a real recording may do, as the kernel says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from symbolizers.process.capabilities import Capability, bits_of
from symbolizers.process.sandbox import MEMORY_BYTES, MESSAGES_BYTES, OOM_SCORE
from tests.support.live.begun import wait_until_sampling
from tests.support.live.harness import PIDFLAME, Recording, is_frame_of, parse_folded, target, workload
from tests.support.process.targets import NOBODY, children_of

PATIENCE_S = 30.0
READING = bits_of((Capability.SYS_PTRACE, Capability.DAC_READ_SEARCH, Capability.CHECKPOINT_RESTORE))
LATER = READING | bits_of(
    (
        *(Capability.BPF, Capability.PERFMON, Capability.SYSLOG, Capability.KILL, Capability.SYS_NICE),
        *(Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.FOWNER),
    )
)
ADVISED = "+dac_read_search,+sys_ptrace,+syslog,+perfmon,+bpf,+checkpoint_restore"
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *(f"--inh-caps={ADVISED}", f"--ambient-caps={ADVISED}"),
)

T = TypeVar("T")


def until(find: Callable[[], T | None]) -> T:
    end_s = time.monotonic() + PATIENCE_S
    while (found := find()) is None:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return found


def fields_of(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def network_of(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def worker_of(pid: int, *, but: int = 0) -> int:
    """The worker of the recording `pid`, once it is in its sandbox, and not the one that was there before."""

    def find() -> int | None:
        for child in children_of(pid):
            with suppress(ProcessLookupError, FileNotFoundError):  # another child may be over by now
                if child != but and fields_of(child).get("Seccomp") == "2":
                    return child
        return None

    return until(find)


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def assert_sandboxed(worker: int) -> None:
    fields = fields_of(worker)
    assert {name: int(fields[name], 16) for name in ("CapPrm", "CapEff")} == dict.fromkeys(
        ("CapPrm", "CapEff"), READING
    )
    assert [int(fields[name], 16) for name in ("CapInh", "CapAmb", "CapBnd")] == [0, 0, 0]
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    limits = limits_of(worker)
    assert limits["Max address space"] == (str(MEMORY_BYTES),) * 2
    assert limits["Max file size"] == (str(MESSAGES_BYTES),) * 2
    assert limits["Max core file size"] == ("0", "0")
    assert limits["Max processes"] == ("0", "0")
    assert Path(f"/proc/{worker}/oom_score_adj").read_text() == f"{OOM_SCORE}\n"
    assert network_of(worker) != network_of("self")
    assert Path(f"/proc/{worker}/net/fib_trie").read_text() == ""


def test_a_worker_is_sandboxed_and_so_is_the_next_one(tmp_path: Path) -> None:
    with target(*workload("split.py", "--cpu-seconds", "3")) as busy:
        recording = Recording(tmp_path, ["-F", "100", "-p", str(busy.process.pid)])
        first = worker_of(recording.process.pid)
        assert_sandboxed(first)
        os.kill(first, signal.SIGKILL)
        assert_sandboxed(worker_of(recording.process.pid, but=first))
        busy.go()
        busy.truth()
        recorded = recording.finish()
        busy.end()
    assert recorded.exit_code == 0
    assert recorded.stats["symbolized"] > 100
    assert not sum(recorded.stats["dropped"].values())


def test_the_recording_keeps_what_it_needs_while_it_samples(tmp_path: Path) -> None:
    recording = Recording(tmp_path, ["-p", str(os.getpid())])
    pid = recording.process.pid
    # One more writes unwind tables, once there are any: the kernel keeps rights by thread.
    threads = until(lambda: found if len(found := os.listdir(f"/proc/{pid}/task")) == 2 else None)
    for thread in threads:
        fields = fields_of(f"{pid}/task/{thread}")
        assert [int(fields[name], 16) for name in ("CapPrm", "CapEff")] == [LATER, LATER]
        assert [int(fields[name], 16) for name in ("CapInh", "CapBnd", "CapAmb")] == [READING, 0, 0]
        assert fields["NoNewPrivs"] == "1"
        assert network_of(f"{pid}/task/{thread}") != network_of("self")
    recording.finish()


def test_a_signal_reaches_a_command_that_runs_as_another_user(tmp_path: Path) -> None:
    command = (
        PIDFLAME,
        "record",
        "-o",
        str(tmp_path / "out.folded"),
        "--",
        "/bin/sh",
        "-c",
        "id -u; exec sleep 600",
    )
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    with subprocess.Popen(command, env={**os.environ, **sudo}, stdout=subprocess.PIPE) as recording:
        assert recording.stdout is not None
        assert recording.stdout.readline() == f"{NOBODY}\n".encode()
        recording.terminate()
        assert recording.wait(PATIENCE_S) == 128 + signal.SIGTERM


@pytest.fixture
def folder_of_nobody(tmp_path: Path) -> Path:
    os.chown(tmp_path, NOBODY, NOBODY)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path


def test_the_command_of_the_unprivileged_form_reads_no_file_of_roots(folder_of_nobody: Path) -> None:
    command = (PIDFLAME, "record", "-o", "out.folded", "--", "/bin/cat", "/etc/shadow")
    done = subprocess.run((*AS_NOBODY, *command), cwd=folder_of_nobody, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "/etc/shadow: Permission denied" in done.stderr


def test_the_unprivileged_form_records_others_and_names_their_functions(folder_of_nobody: Path) -> None:
    with target(*workload("split.py", "--cpu-seconds", "2")) as busy:
        command = (PIDFLAME, "record", "-F", "100", "-o", "out.folded", "-p", str(busy.process.pid))
        with subprocess.Popen(
            (*AS_NOBODY, *command), cwd=folder_of_nobody, stderr=subprocess.PIPE
        ) as recording:
            assert recording.stderr is not None
            assert b"recording" in recording.stderr.readline()
            wait_until_sampling(recording.pid)
            busy.go()
            busy.truth()
            busy.end()
            assert recording.wait(PATIENCE_S) == 0
    stacks = parse_folded((folder_of_nobody / "out.folded").read_text())
    heavy = sum(
        count for stack, count in stacks.items() if any(is_frame_of(each, "heavy_share") for each in stack)
    )
    assert heavy > 0.4 * stacks.total() > 50  # 60 % of the CPU time: 4 sigma are 14 %
