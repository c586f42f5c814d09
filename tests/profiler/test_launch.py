"""The command to profile: held until it is released, run as whoever called sudo, its exit code kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.errors import PidflameError, UsageError
from profiler.launch import Launched, check_executable
from tests.support.process.targets import NOBODY, ROOT, state_of

PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run under sudo; what they launch writes where only root may."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("SUDO_GID", raising=False)


def run(*command: str) -> int:
    launched = Launched(command)
    launched.release()
    code = launched.exit_code()
    launched.check_that_it_ran()
    return code


def refused(*command: str) -> PidflameError:
    """How it is told that the command can't be run."""
    with pytest.raises(PidflameError) as told:
        run(*command)
    return told.value


def until_ended(launched: Launched) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not launched.ended():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_nothing_runs_before_it_is_released(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    launched = Launched(["/bin/sh", "-c", f"echo ran > {trace}"])
    assert not launched.ended()
    assert not trace.exists()
    launched.release()
    assert launched.exit_code() == 0
    assert trace.read_text() == "ran\n"
    assert launched.ended()


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_that_of_a_shell(script: str, code: int) -> None:
    assert run("/bin/sh", "-c", script) == code


@pytest.mark.parametrize("name", ["/nowhere/command", "no-command-of-this-name"])
def test_a_command_that_is_not_there_ends_like_in_a_shell(name: str) -> None:
    for told in (refused(name), checked(name)):
        assert told.exit_code == 127
        assert name in str(told)


def test_a_file_that_is_no_program_ends_like_in_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no program")
    for told in (refused(str(path)), checked(str(path)), checked(str(tmp_path))):
        assert told.exit_code == 126
        assert str(tmp_path) in str(told)


def checked(name: str) -> PidflameError:
    with pytest.raises(PidflameError) as told:
        check_executable(name)
    return told.value


def test_what_only_the_kernel_refuses_is_told_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    check_executable(str(path))
    assert "interpreter" in str(refused(str(path)))
    path.write_text("echo a script without its first line\n")
    check_executable(str(path))
    told = refused(str(path))
    assert (told.exit_code, "begins with #!" in str(told)) == (126, True)


def test_a_command_that_ran_or_was_never_released_was_not_refused() -> None:
    check_executable("sh")
    assert run("sh", "-c", "exit 127") == 127
    waiting = Launched(["/nowhere/command"])
    waiting.check_that_it_ran()
    waiting.forward(signal.SIGKILL)
    assert waiting.exit_code() == 137


def test_no_command_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Launched([])


def test_a_signal_is_passed_on_and_to_nobody_once_the_command_has_ended() -> None:
    launched = Launched(["/bin/sleep", "600"])
    launched.release()
    launched.forward(signal.SIGTERM)
    assert launched.exit_code() == 143
    launched.forward(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_ended_while_it_waits_to_begin(number: signal.Signals) -> None:
    """Ctrl-C on the terminal reaches it, too."""
    launched = Launched(["/bin/true"])
    while state_of(launched.pid) != "S":
        time.sleep(0.001)
    launched.forward(number)
    until_ended(launched)
    launched.release()
    assert launched.exit_code() == 128 + number


def test_the_command_never_runs_when_the_profiler_ends_first(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = f"from profiler.launch import Launched; Launched(['touch', {str(trace)!r}])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, timeout=PATIENCE_S
    )
    # The command had the pipe, too, so its end shows that the command has ended.
    assert done.stdout == b""
    assert not trace.exists()


def test_the_command_has_the_signals_that_a_shell_would_give_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and what is ignored stays so over exec."""
    assert run("/bin/grep", "Sig[BIC]", "/proc/self/status") == 0
    masks = dict(line.split(":\t") for line in capfd.readouterr().out.splitlines())
    ours = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ))
    assert {name: int(mask, 16) & ours for name, mask in masks.items()} == {
        "SigBlk": 0,
        "SigIgn": 0,
        "SigCgt": 0,
    }


def test_the_command_has_the_standard_descriptors_and_no_others(capfd: pytest.CaptureFixture[str]) -> None:
    ours = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    for fd in ours:
        os.set_inheritable(fd, True)
    assert run("/bin/ls", "/proc/self/fd") == 0
    for fd in ours:
        os.close(fd)
    # The one more is the folder that ls reads.
    assert {*map(int, capfd.readouterr().out.split())} == {0, 1, 2, 3}


@pytest.mark.root
def test_under_sudo_the_command_runs_as_the_one_who_called_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("SUDO_GID", str(NOBODY))
    script = "id -u; id -ru; id -g; id -rg; id -G; echo $USER $LOGNAME $HOME; grep CapEff /proc/self/status"
    assert run("/bin/sh", "-c", script) == 0
    user, real, group, real_group, groups, names, capabilities = capfd.readouterr().out.splitlines()
    assert {user, real, group, real_group} == {str(NOBODY)}
    assert groups == str(NOBODY)
    assert names.split()[:2] == ["nobody", "nobody"]
    assert names.split()[2] != os.environ.get("HOME")
    assert int(capabilities.split()[1], 16) == 0


@pytest.mark.root
def test_under_sudo_a_user_that_is_not_there_runs_nothing_as_root(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUDO_UID", "3999999")
    monkeypatch.setenv("SUDO_GID", "3999999")
    told = refused("/bin/echo", "ran")
    assert told.exit_code == 126
    assert capfd.readouterr().out == ""
    assert "cannot run /bin/echo" in str(told)
