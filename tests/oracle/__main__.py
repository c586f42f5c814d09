"""Writes what both unwinders make of real programs into a page: ``python -m tests.oracle docs/NATIVE.md``.

Without a page it prints the table; with ``--only WORD``, of the programs with the WORD in their names. Each
runs for ``--most-s`` seconds at most. Where walks part goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench.native import Program
from tests.bench.table import markdown
from tests.oracle.compare import Compared, compared
from tests.oracle.libdw import Libdw
from tests.oracle.programs import programs
from tests.oracle.taken import Taker, compiled
from tests.support.page_sections import put

HZ = 499
TITLE = "second unwinder"
HEADER = (
    *("program", "samples compared", "of these not to the end", "callers", "agreement, %"),
    *("stacks that differ", "not compared"),
)


def compare(program: Program, taker: Taker, libdw: Libdw, folder: Path, most_s: float) -> Compared:
    """Runs it twice, for at most so long: first to make the tables of what it maps."""
    if program.build:
        subprocess.run(["sh", "-c", program.build], cwd=folder, check=True)
    command = ["sh", "-c", program.command]
    for _ in taker.take(command, folder, most_s):
        pass
    return compared(taker.take(command, folder, most_s), libdw)


def row(name: str, found: Compared) -> Sequence[str]:
    """Of the table."""
    return (
        *(name, str(found.samples), _counts(found.partly), str(found.frames), f"{found.agreement():.2f}"),
        *(str(len(found.differences)), _counts(found.others)),
    )


def total(each: Sequence[Compared]) -> Compared:
    """All of them together."""
    return Compared(
        sum(found.samples for found in each),
        sum(found.frames for found in each),
        sum(found.agreeing for found in each),
        sum((found.partly for found in each), Counter()),
        sum((found.others for found in each), Counter()),
        [difference for found in each for difference in found.differences],
    )


def _counts(by_reason: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(by_reason.items())) or "-"


def _where(found: Compared) -> None:
    for what, differences in (("differs", found.differences), ("ends early", found.early)):
        places = Counter((each.where(), each.followed.error) for each in differences)
        for (where, error), count in places.most_common():
            print(f"    {what} behind {where}: {count} (libdw: {error or 'no error'})", file=sys.stderr)


def _measure(only: str, most_s: float) -> Iterator[tuple[str, Compared]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taker, libdw = Taker(compiled(folder), HZ), Libdw(folder)
        for number, program in enumerate(programs()):
            lacking = [each for each in program.needs() if shutil.which(each) is None]
            if only not in program.name or lacking:
                continue
            inside = folder / str(number)
            inside.mkdir()
            found = compare(program, taker, libdw, inside, most_s)
            print(" | ".join(row(program.name, found)), file=sys.stderr)
            _where(found)
            yield program.name, found
        taker.close()


def _text(results: Mapping[str, Compared], most_s: float) -> str:
    rows = [row(name, found) for name, found in results.items()]
    rows.append(row("all", total(list(results.values()))))
    return f"""\
Written by `make oracle` on {os.cpu_count()} CPUs, Linux {platform.release()}, at {HZ} Hz on each CPU,
for at most {most_s:.0f} s a program.

{markdown(HEADER, rows)}"""


def main() -> None:
    """Writes the part of the page, or prints it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("page", nargs="?", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--most-s", type=float, default=120.0)
    options = parser.parse_args()
    results: dict[str, Compared] = {}
    for name, found in _measure(options.only, options.most_s):
        results[name] = found
        if options.page:
            put(options.page, TITLE, _text(results, options.most_s))
    if not options.page:
        print(_text(results, options.most_s))


if __name__ == "__main__":
    main()
