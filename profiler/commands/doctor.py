"""`pidflame doctor`: says what this machine offers to a recording."""

from __future__ import annotations

import gc
import sys

import click

from profiler import doctor_text
from profiler.doctor import examine
from profiler.errors import PrerequisiteError


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(as_json: bool) -> None:
    """Say what this machine offers, what is missing, and which interpreters run.

    Exit code 0 when a recording would work, else 3.
    """
    gc.enable()
    report = examine(["record"])
    click.echo((doctor_text.to_json if as_json else doctor_text.to_text)(report), nl=False)
    sys.exit(0 if report.works else PrerequisiteError.exit_code)
