"""Writes the doctor's report: as text for people, and as JSON with stable keys."""

from __future__ import annotations

import json
from collections.abc import Iterator

from profiler.doctor import Report, RunningInterpreter
from profiler.export.text import printable
from profiler.preflight import Check

_SHOWN_PROCESSES = 5
_LISTED_PROCESSES = 100
"""How many processes of one interpreter are named at most: in the text, and in the JSON."""
_INDENT = " " * 8


def to_text(report: Report) -> str:
    """Lines for people: a mark and what was found, what to do below it, then the interpreters."""
    return "\n".join(_lines(report)) + "\n"


def to_json(report: Report) -> str:
    """The report as one JSON object, described in docs/DOCTOR.md."""
    document = {
        "works": report.works,
        "checks": {
            check.name: {
                "ok": check.ok,
                "required": check.required,
                "found": printable(check.found),
                "problem": check.problem,
            }
            for check in report.checks
        },
        "interpreters": [_interpreter(each) for each in report.interpreters],
        "not_looked_at": dict(report.not_looked_at),
    }
    return json.dumps(document, indent=2) + "\n"


def _interpreter(running: RunningInterpreter) -> dict[str, object]:
    return {
        "language": running.language,
        "version": printable(running.version),
        "supported": running.supported,
        "supported_versions": running.supported_versions,
        "process_count": len(running.processes),
        "processes": [
            {"pid": pid, "name": printable(name)} for pid, name in running.processes[:_LISTED_PROCESSES]
        ],
    }


def _lines(report: Report) -> Iterator[str]:
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        yield f"{_mark(check):8}{check.name:{width}}  {printable(check.found)}"
        yield from (_INDENT + line for line in check.problem.splitlines())
    yield ""
    yield "interpreters that run now:" if report.interpreters else "no interpreter runs now"
    for running in report.interpreters:
        yield from _interpreter_lines(running)
    if report.not_looked_at:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(report.not_looked_at.items()))
        yield f"processes that could not be looked at: {reasons}"
    yield ""
    yield "a recording works here" if report.works else "a recording does not work here: see above"


def _mark(check: Check) -> str:
    if check.ok:
        return "ok"
    return "MISSING" if check.required else "limited"


def _interpreter_lines(running: RunningInterpreter) -> Iterator[str]:
    shown = [f"{printable(name)} ({pid})" for pid, name in running.processes[:_SHOWN_PROCESSES]]
    more = len(running.processes) - len(shown)
    yield (
        f"{'ok' if running.supported else 'limited':8}{running.language} {printable(running.version)}: "
        + ", ".join(shown)
        + (f" and {more} more" if more else "")
    )
    if not running.supported:
        yield f"{_INDENT}native frames only (supported: {running.language} {running.supported_versions})"
