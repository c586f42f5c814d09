"""The command line: what is refused and with which exit code, and whole recordings that end in every way."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from profiler.cli import main
from tests.support.live.harness import PIDFLAME, parse_folded, read_terminal
from tests.support.process.targets import NOBODY, ROOT

PATIENCE_S = 60.0
BUSY = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
"""Something under a second of a shell's work."""
SOME_SAMPLES = 5
ENDLESS = ("/bin/sh", "-c", "while :; do :; done")


def refused(arguments: Sequence[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and stderr of `pidflame` with `arguments`, in this process; nothing may be recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pidflame", *arguments])
        patch.setattr("profiler.commands.recording.KernelSource", None)
        with pytest.raises(SystemExit) as ended:
            main()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.err


def run(
    *arguments: str,
    command: Sequence[str] = (PIDFLAME,),
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )


@contextmanager
def busy_shell() -> Iterator[int]:
    """The pid of a shell that works without end."""
    with subprocess.Popen(ENDLESS) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def agreed(folded: str, stats: dict[str, Any], said: str) -> None:
    """The folded stacks, the stats file and the last line on stderr agree about the samples."""
    dropped, partial = (sum(stats[name].values()) for name in ("dropped", "partial"))
    assert parse_folded(folded).total() == stats["symbolized"] + partial
    assert stats["samples"] == stats["symbolized"] + partial + dropped
    assert last_line(said).startswith(f"{stats['samples']} samples: {stats['symbolized']} symbolized, ")
    assert f" {dropped} dropped" in last_line(said)
    assert last_line(said).endswith(f", {stats['lost']} lost")
    for row in stats["per_process"]:
        shown = row["symbolized"] + sum(row["partial"].values())
        assert row["samples"] == shown + sum(row["dropped"].values())
    assert sum(row["samples"] for row in stats["per_process"]) == stats["samples"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["record", "-F", "0"], "--frequency"),
        (["record", "-F", "1001"], "--frequency"),
        (["record", "-d", "0"], "--duration"),
        (["record", "-d", "soon"], "--duration"),
        (["record", "-p", "0"], "--pid"),
        (["record", "-o", "out.pdf"], "out.pdf"),
        (["record", "-o", "out"], "svg"),
        (["record", "-f", "pdf"], "pdf"),
        (["record", "-o", "/nowhere/out.svg"], "/nowhere/out.svg"),
        (["record", "--event", "moon"], "--event"),
        (["record", "--no-such-option"], "--no-such-option"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, said = refused(arguments, capfd)
    assert code == 2
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("no-command-of-this-name", 127, "command not found: no-command-of-this-name"),
        ("4711", 127, "-p 4711 records the process"),
        ("/etc/passwd", 126, "no executable file"),
        ("/etc", 126, "it is a folder"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_done(
    name: str, code: int, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        got, said = refused(["record", "--", name], capfd)
    assert (got, says in said) == (code, True), said
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", ["-o", "--stats"])
def test_a_file_that_exists_is_not_overwritten(
    option: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.svg"
    kept.write_text("kept")
    code, said = refused(["record", option, str(kept)], capfd)
    assert code == 2
    assert "--force" in said
    assert kept.read_text() == "kept"


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "link.svg"
    link.symlink_to(tmp_path / "elsewhere")
    assert refused(["record", "-o", str(link)], capfd)[0] == 2


def test_a_process_that_is_not_there_is_gone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        pass
    arguments = ["record", "-o", str(tmp_path / "out.svg"), "-p", str(process.pid)]
    code, said = refused(arguments, capfd)
    assert code == 4
    assert str(process.pid) in said


def test_help_and_version_go_to_stdout() -> None:
    for arguments in (["--help"], ["record", "-h"], ["--version"]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


@pytest.mark.live
@pytest.mark.parametrize(
    ("bounding", "missing"), [("-all", "CAP_SYS_PTRACE"), ("-bpf,-perfmon", "missing CAP_PERFMON CAP_BPF:")]
)
def test_without_the_capabilities_it_says_how_to_get_them(
    bounding: str, missing: str, tmp_path: Path
) -> None:
    wrapper = ("setpriv", f"--bounding-set={bounding}", PIDFLAME)
    done = run("record", "-d", "1", "-o", str(tmp_path / "out.svg"), command=wrapper)
    assert done.returncode == 3
    assert missing in done.stderr
    assert f"sudo {os.path.realpath(PIDFLAME)} record -d 1" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.live
def test_without_the_bcc_bindings_it_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['bcc'] = None; from profiler.cli import main; main()"
    wrapper = (sys.executable, "-c", program)
    done = run("record", "-o", "out.svg", "--", "touch", "trace", command=wrapper, cwd=tmp_path)
    assert done.returncode == 3
    assert "python3-bpfcc" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.live
def test_the_whole_system_is_recorded_without_kernel_headers(tmp_path: Path) -> None:
    """Headers are hidden from it, wherever a machine has them."""
    script = 'for d in /lib/modules /usr/src; do [ ! -d $d ] || mount -t tmpfs none $d; done; exec "$@"'
    hidden = ("unshare", "--mount", "/bin/sh", "-euc", script, "sh", PIDFLAME)
    files = [tmp_path / name for name in ("out.folded", "out.svg", "stats.json")]
    folded, svg, stats = files
    options = ("-d", "1", "-F", "50", "-o", str(folded), "-o", str(svg), "--stats", str(stats))
    with busy_shell() as busy_pid:
        done = run("record", *options, command=hidden)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    document = json.loads(stats.read_text())
    agreed(folded.read_text(), document, done.stderr)
    assert f"sh ({busy_pid})" in {stack[0] for stack in parse_folded(folded.read_text())}
    assert f"wrote {svg} (open it in a browser)" in done.stderr
    assert svg.read_text().rstrip().endswith("</svg>")
    assert document["cpus"] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert document["frequency_hz"] == 50
    assert 1 <= document["duration_s"] < PATIENCE_S
    assert document["profiler_cpu_s"] > 0


@pytest.mark.live
def test_a_command_keeps_its_exit_code_and_its_user(tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    done = run(
        *("record", "-F", "100", "-o", "out.folded", "--stats", "stats.json"),
        *("--", "/bin/sh", "-c", f"id -u >&2; {BUSY}; exit 7"),
        cwd=tmp_path,
        environment={"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)},
    )
    assert done.returncode == 7
    assert done.stderr.splitlines()[0] == str(NOBODY)
    folded = (tmp_path / "out.folded").read_text()
    agreed(folded, json.loads(stats.read_text()), done.stderr)
    stacks = parse_folded(folded)
    assert {stack[0].split(" ")[0] for stack in stacks} <= {"sh", "pidflame", "id"}
    assert any(stack[0].startswith("sh (") for stack in stacks)


@pytest.mark.live
def test_a_command_that_is_killed(tmp_path: Path) -> None:
    done = run("record", "-o", "-", "--", "/bin/sh", "-c", "kill -9 $$", cwd=tmp_path)
    assert done.returncode == 137
    assert last_line(done.stderr).endswith(" lost")
    parse_folded(done.stdout)
    assert os.listdir(tmp_path) == []


@pytest.mark.live
def test_a_command_that_turns_out_not_to_run_leaves_no_file(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = run("record", "-o", "out.folded", "--stats", "stats.json", "--", "./script", cwd=tmp_path)
    assert done.returncode == 127
    assert "cannot run ./script: " in done.stderr
    assert os.listdir(tmp_path) == ["script"]


class OnTerminal:
    """A recording whose stderr is a terminal: its progress line says when it has begun."""

    def __init__(self, *arguments: str) -> None:
        self._terminal, stderr = pty.openpty()
        command = [PIDFLAME, *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1"},
        )
        os.close(stderr)
        self.said = ""

    def hear(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], PATIENCE_S)
        assert ready, self.said
        heard = read_terminal(self._terminal)
        self.said += heard
        return bool(heard)

    def until_samples(self) -> None:
        """Waits until its progress line shows some samples: the first may be of no stack."""
        end_s = time.monotonic() + PATIENCE_S
        while max(map(int, re.findall(r"(\d+) samples", self.said)), default=0) < SOME_SAMPLES:
            assert self.hear(), self.said
            assert time.monotonic() < end_s, self.said

    def end(self, number: signal.Signals) -> int:
        """Sends the signal and returns the exit code."""
        self.process.send_signal(number)
        while self.hear():
            pass
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._terminal)


@contextmanager
def on_terminal(*arguments: str) -> Iterator[OnTerminal]:
    recording = OnTerminal(*arguments)
    try:
        yield recording
    finally:
        recording.close()


@pytest.mark.live
def test_ctrl_c_ends_a_recording_that_then_writes_its_files(tmp_path: Path) -> None:
    folded, stats = tmp_path / "out.folded", tmp_path / "stats.json"
    folded.write_text("of the run before")
    with busy_shell() as busy_pid:
        options = ("-p", str(busy_pid), "-o", str(folded), "--stats", str(stats), "--force")
        with on_terminal("record", *options) as recording:
            recording.until_samples()
            assert recording.end(signal.SIGINT) == 0
            said = recording.said.replace("\r", "\n")
    document = json.loads(stats.read_text())
    agreed(folded.read_text(), document, said)
    assert {stack[0] for stack in parse_folded(folded.read_text())} == {f"sh ({busy_pid})"}
    assert [row["pid"] for row in document["per_process"]] == [busy_pid]
    assert document["samples"] > 0
    assert "Ctrl-C ends" in said


@pytest.mark.live
def test_sigterm_ends_a_recording_and_the_command_that_it_started(tmp_path: Path) -> None:
    folded = tmp_path / "out.folded"
    with on_terminal("record", "-o", str(folded), "--", *ENDLESS) as recording:
        recording.until_samples()
        assert recording.end(signal.SIGTERM) == 143
        assert recording.said.strip().endswith(" lost")
    stacks = parse_folded(folded.read_text())
    assert {stack[0].split(" ")[0] for stack in stacks} <= {"sh", "pidflame"}
    assert stacks.total() > 0
