"""`pidflame doctor`: says what this machine offers to a recording."""

from __future__ import annotations

import gc
import sys

import click

from profiler import doctor_text
from profiler.commands.talk import coloured
from profiler.commands.usage import Command, Example
from profiler.doctor import examine
from profiler.errors import PrerequisiteError

EXAMPLES = (
    Example("sudo pidflame doctor", "what root's recordings have"),
    Example("sudo pidflame doctor --json | jq .works", "the same for a program: true or false"),
)
_STDOUT = 1
_COLOURS = {"ok": "green", "limited": "yellow", "MISSING": "red"}
"""Of what a line begins with."""


@click.command(name="doctor", cls=Command, examples=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(as_json: bool) -> None:
    """Say what this machine offers, what is missing, and which interpreters run.

    Exit code 0 when a recording would work, else 3.
    """
    gc.enable()
    report = examine(["record"])
    text = doctor_text.to_json(report) if as_json else _coloured(doctor_text.to_text(report))
    click.echo(text, nl=False)
    sys.exit(0 if report.works else PrerequisiteError.exit_code)


def _coloured(text: str) -> str:
    """`text` with colours in its marks, if stdout may have them."""
    lines = []
    for line in text.splitlines(keepends=True):
        mark = line.partition(" ")[0]
        colour = _COLOURS.get(mark)
        lines.append(coloured(mark, colour, _STDOUT) + line[len(mark) :] if colour else line)
    return "".join(lines)
