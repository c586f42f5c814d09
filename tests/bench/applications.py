"""Real applications under pidflame: ``python -m tests.bench.applications``, as root on an idle machine.

Each application of `tests.bench.application_list` is set up under ``.cache/applications`` and recorded. A
Markdown table of what was lost of its samples goes to stdout. ``--write FILE`` writes the whole page, which
also compares the shares of packages in the stacks of ``import pandas`` with ``-X importtime``. The exit
status is 1 where an application could not be recorded or lost too much, or a share is wrong. The stacks of
each recording stay in ``.cache/applications/recordings``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.application_list import ALL, Application
from tests.bench.application_page import (
    AT_MOST,
    LEAST_SAMPLES,
    OK,
    Before,
    Outcome,
    machine,
    read_before,
    table,
    to_json,
)
from tests.bench.application_record import CONNECTIONS, HZ, LOAD_S, Figures, record
from tests.bench.application_setup import PLACE, VERSION_OF, NotSetUp, run, set_up
from tests.bench.import_shares import compare

MOST_RECORDINGS = 6
"""No application is recorded more often to get `LEAST_SAMPLES`."""
PAGE = """# Real applications under pidflame

Written by `{command}`
on {machine}, with {interpreters} and pidflame {commit}.
It sets up each application, records it with `pidflame record -F {hz} --keep-dropped`, and counts.

## What is lost of their samples

{table}

A program is recorded from its first instruction to its end, with all its child processes, so that start-up
and imports are in the figures. Programs that end by themselves are run in new processes, one after the
other, until there are {least} samples. They were run once before, so that files are in the page cache and
bytecode is on the disk; pytest alone compiles its tests each time. A server is recorded from its start and
for {load} s of requests by `wrk` over {connections} connections. Its recording ends by Ctrl-C while it
still runs.

*Dropped* samples have no stack, *partial* ones lack the name of at least one frame. In parentheses stands
the largest true share that the figure is within 3 sigma of. The verdict is `ok` if the figure is what
chance makes of a true share of at most {most:g} %, within 3 sigma. *Before* is the same list on the commit
{before}. *First reported* are figures of the issue that asked for this list; they were not measured by it.

{shares}"""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only those whose names hold one of these")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="at least N recordings of each")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures as JSON, as a 'before'")
    return parser.parse_args()


def chosen(names: Sequence[str] | None) -> list[Application]:
    """The applications whose names hold one of `names`; all without any."""
    if not names:
        return list(ALL)
    return [each for each in ALL if any(name.lower() in each.name.lower() for name in names)]


def measure(application: Application, repeat: int) -> Outcome:
    """Sets it up and records it; what goes wrong is in the outcome."""
    versions, figures = "", Figures()
    try:
        ready = set_up(application)
        versions = ready.versions
        place = PLACE / "recordings" / application.name.replace("/", " ")
        for number in range(1, MOST_RECORDINGS + repeat):
            figures += record(ready, place / str(number))
            if number >= repeat and figures.samples >= LEAST_SAMPLES:
                break
    except NotSetUp as failure:
        return Outcome(application, versions, figures, str(failure))
    return Outcome(application, versions, figures)


def measure_all(applications: Sequence[Application], repeat: int) -> Iterator[Outcome]:
    """An outcome for each; progress goes to stderr."""
    for number, application in enumerate(applications, start=1):
        print(f"{number}/{len(applications)} {application.name}: ", end="", file=sys.stderr, flush=True)
        outcome = measure(application, repeat)
        figures = outcome.figures
        print(f"{figures.lost} of {figures.samples} lost, {outcome.verdict}", file=sys.stderr)
        yield outcome


def commit() -> str:
    """The last commit that changed the profiler, and whether it has been changed since."""
    tree, code = Path(__file__).resolve().parents[2], ("--", "profiler", "symbolizers")
    name = run("git", "log", "-1", "--format=%h", *code, folder=tree).strip()
    changed = run("git", "status", "--porcelain", *code, folder=tree).strip()
    return f"{name}, with changes" if changed else name


def measure_shares() -> tuple[str, bool]:
    """The section on whose time an import is, and whether the stacks agree."""
    try:
        shares = compare()
    except NotSetUp as failure:
        return f"Whose time an import is could not be measured: {failure}\n", False
    return shares.section(), shares.good


def page(outcomes: Sequence[Outcome], before: Before, shares: str) -> str:
    """The whole page."""
    interpreters = ", ".join(f"{language} {run(*ask).strip()}" for language, ask in VERSION_OF.items())
    return PAGE.format(
        command=shlex.join(["python", "-m", "tests.bench.applications", *sys.argv[1:]]),
        hz=HZ,
        machine=machine(),
        interpreters=interpreters,
        commit=commit(),
        table=table(outcomes, before),
        least=LEAST_SAMPLES,
        load=LOAD_S,
        connections=CONNECTIONS,
        most=100 * AT_MOST,
        before=before.commit or "(none is stored)",
        shares=shares,
    )


def main() -> int:
    """Measures and writes; returns the exit status."""
    arguments = parse()
    if os.geteuid() != 0:
        print("pidflame records as root only: run this as root", file=sys.stderr)
        return 3
    applications = chosen(arguments.only)
    if not applications:
        print(f"no application has one of {', '.join(arguments.only)} in its name", file=sys.stderr)
        return 2
    outcomes = list(measure_all(applications, arguments.repeat))
    before = read_before()
    print(table(outcomes, before))
    good = all(outcome.verdict == OK for outcome in outcomes)
    if arguments.save:
        arguments.save.write_text(to_json(outcomes, commit()))
    if arguments.write:
        shares, agree = measure_shares()
        arguments.write.write_text(page(outcomes, before, shares))
        good = good and agree
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
