"""Help, defaults from the environment, completion and the manual page: all from the commands themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from profiler.cli import COMMANDS, cli
from profiler.commands import record as record_module
from profiler.commands import talk
from profiler.commands.completion import SHELLS
from profiler.commands.man import manual_page
from profiler.commands.talk import Volume
from profiler.commands.usage import Command, Option, option, variables, volume_options
from tests.support.live.harness import PIDFLAME

FREQUENCY = "PIDFLAME_RECORD_FREQUENCY"


@pytest.fixture(autouse=True)
def _usual_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk._Voice, "volume", Volume.USUAL)
    for name in os.environ:
        if name.startswith("PIDFLAME_"):
            monkeypatch.delenv(name)


@click.command(name="record", cls=Command)
@option("-F", "--frequency", type=click.IntRange(1, 1000), default=20, show_default=True)
@option("--full-paths", is_flag=True)
@option("-o", "--output", "outputs", multiple=True, from_environment=False)
@volume_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def tried(**options: object) -> None:
    click.echo(f"{options['frequency']} {options['full_paths']} {talk._Voice.volume.name}")


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(tried, arguments, prog_name="record", env=environment, standalone_mode=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_are_not_wrapped(name: str) -> None:
    """At any width; and each of them is a command line that pidflame understands."""
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, Command)
    assert command.examples
    shown = CliRunner().invoke(cli, [name, "--help"], terminal_width=40).output
    _, _, examples = shown.partition("\nExamples:\n")
    for example in command.examples:
        assert f"  # {example.does}\n  {example.command}\n" in examples
        words = re.search(r"pidflame ([^|>\")]*)", example.command)
        assert words is not None
        assert words[1].split()[0] == name
        with click.Context(cli) as parent:
            command.make_context(name, words[1].split()[1:], parent=parent)


def test_the_help_of_all_has_examples_and_no_command_is_an_error() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    assert "Examples:\n  # everything" in shown.output
    done = subprocess.run([PIDFLAME], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Examples:" in done.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "20 False USUAL"),
        ({FREQUENCY: "99", "PIDFLAME_RECORD_FULL_PATHS": "1"}, "99 True USUAL"),
        ({FREQUENCY: "", "PIDFLAME_RECORD_FULL_PATHS": "no"}, "20 False USUAL"),
        ({"PIDFLAME_RECORD_QUIET": "true"}, "20 False QUIET"),
    ],
)
def test_variables_set_defaults(environment: dict[str, str], says: str) -> None:
    done = invoke(**environment)
    assert (done.exit_code, done.output.strip()) == (0, says)


def test_the_command_line_comes_before_the_environment() -> None:
    environment = {FREQUENCY: "99", "PIDFLAME_RECORD_QUIET": "1"}
    assert invoke("-F", "7", "-v", **environment).output.strip() == "7 False VERBOSE"
    assert invoke("-v", "-q").exit_code == 2


def test_an_error_in_a_variable_names_it() -> None:
    done = invoke(**{FREQUENCY: "often"})
    assert done.exit_code == 2
    assert FREQUENCY in done.output
    assert FREQUENCY not in invoke("-F", "often", **{FREQUENCY: "99"}).output


def test_what_is_recorded_and_written_is_said_on_the_command_line_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A variable that changes nothing is said to be ignored."""
    done = invoke(PIDFLAME_RECORD_OUTPUT="/etc/passwd", PIDFLAME_RECORD_FREQENCY="1")
    assert done.exit_code == 0
    said = capfd.readouterr().err
    assert "PIDFLAME_RECORD_OUTPUT is ignored" in said
    assert "PIDFLAME_RECORD_FREQENCY is ignored" in said
    with click.Context(record_module.command, info_name="record") as ctx:
        known = variables(record_module.command, ctx)
        silent = {
            name
            for each in record_module.command.params
            if isinstance(each, Option) and each.variable(ctx) is None
            for name in each.opts
        }
    assert {FREQUENCY, "PIDFLAME_RECORD_FORMAT", "PIDFLAME_RECORD_NO_SELF"} <= known.keys()
    assert silent == {"-p", "--pid", "--children", "-o", "--output", "--stats", "--force"}


def test_options_of_the_command_that_is_recorded_come_behind_two_dashes() -> None:
    done = invoke("ls", "-l")
    assert done.exit_code == 2
    assert "write '--' before a COMMAND" in done.output
    assert invoke("--", "ls", "-l").exit_code == 0


def completed(shell: str, *words: str) -> list[str]:
    """What is offered for the last of the words, by the script's own protocol."""
    environment = {
        **os.environ,
        "_PIDFLAME_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": (" " if shell != "bash" else "\n").join(["pidflame", *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    done = subprocess.run([PIDFLAME], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_whose_questions_are_answered(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).output
    assert "_PIDFLAME_COMPLETE" in script
    assert f"{shell}_complete" in script
    assert any("record" in each for each in completed(shell, "rec"))
    assert any("--frequency" in each for each in completed(shell, "record", "--freq"))


def test_bash_completes_with_the_script() -> None:
    program = f"""
        PATH={Path(PIDFLAME).parent}:$PATH
        eval "$(pidflame completion bash)"
        COMP_WORDS=(pidflame record --no-) COMP_CWORD=2
        _pidflame_completion pidflame
        echo "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (["--no-self", "--no-cache"], "")


def test_processes_and_commands_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert f"plain,{process.pid}" in completed("bash", "record", "-p", str(process.pid)[:-1])
        name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        assert f"plain,{name}" in completed("bash", "record", "-p", name[:3])
    (tmp_path / "pf-tool").touch()
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}:{os.environ['PATH']}")
    assert completed("bash", "record", "--", "pf-to") == ["plain,pf-tool"]
    assert completed("bash", "record", "--", "./pf") == ["file,./pf"]


def test_the_manual_page_has_every_command_option_and_example() -> None:
    with click.Context(cli, info_name="pidflame") as root:
        page = manual_page(root)
        assert page == CliRunner().invoke(cli, ["man"], prog_name="pidflame").output
    requests = {line.split(" ")[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".B", ".BR", ".br", ".PP", ".TP", ".nf", ".fi"}
    plain = page.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert isinstance(command, Command)
        assert f'.SS "pidflame {name} ' in plain
        for each in command.params:
            if isinstance(each, click.Option):
                assert each.help is not None
                assert max(each.opts, key=len) in plain
                assert " ".join(each.help.split())[:40] in plain
        for example in command.examples:
            assert example.command in plain
    assert FREQUENCY in plain
    for section in ("NAME", "SYNOPSIS", "ENVIRONMENT", "EXIT STATUS", "FILES"):
        assert f".SH {section}\n" in page
