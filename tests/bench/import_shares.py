"""``import pandas``, by package: the shares in pidflame's stacks beside what the same processes say.

A sample belongs to the module whose ``<module>`` frame is the innermost on its stack. Inside of the process,
the CPU clock of the thread is read whenever the body of a module begins or ends (``timed_import.py``), so
that the truth has no error of its own. Modules count together by the first two parts of their names.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from tests.bench.application_list import ALL
from tests.bench.application_record import recording, repeated, wait_for
from tests.bench.application_setup import set_up
from tests.bench.peer import folded
from tests.bench.table import markdown

PACKAGE = "pandas"
LARGEST = 10
ROUNDS, RUNS = 5, 50
"""How many recordings there are, and of how many processes each."""
SIGMAS = 3.0
ONE_THREAD = "OPENBLAS_NUM_THREADS=1"
"""NumPy would start threads that burn CPU time, which no module imports."""
PROGRAM = Path(__file__).resolve().parents[1] / "support" / "applications" / "timed_import.py"
STANDARD_LIBRARY = "(standard library)"
IMPORT = ";import_module ("
"""What the program calls for it: the interpreter's own imports, and the program's, are over by then."""
MARKERS = ("[changed]", "[exited]", "[would fault]")
HEADER = (
    *("package", "of the CPU time, %", "samples", "of the samples, %"),
    *("difference, points", "3 sigma, points", "within"),
)
SECTION = """## Whose time `import {package}` is

The {largest} largest packages of {versions}, in {processes} processes: their shares of the CPU time, as each
process said itself, and of the {samples} samples of the same processes. {unnamed} samples had a marker in the
place of a name.

{table}

A sample counts for the module whose `<module>` frame is the innermost one on its stack. Inside of the
process (`tests/support/applications/timed_import.py`) the CPU clock is read whenever such a frame begins and
ends. A package here is the first two parts of a module's name; the standard library is one. 3 sigma are those
of the number of samples.
"""

_MODULE = re.compile(r"<module> \((.+?)(?::\d+)?\)")
_STANDARD_FOLDER = re.compile(r"/usr/lib/python3\.\d+/(?!dist-packages)")


@dataclass(frozen=True, slots=True)
class PackageShare:
    """One row: the true share of the CPU time (0 to 1), and how many of `all_samples` there are."""

    package: str
    share: float
    samples: int
    all_samples: int

    @property
    def difference(self) -> float:
        """The share of the samples less the true one."""
        return self.samples / self.all_samples - self.share

    @property
    def allowed(self) -> float:
        return SIGMAS * sqrt(self.share * (1 - self.share) / self.all_samples)

    @property
    def within(self) -> bool:
        return abs(self.difference) <= self.allowed

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        shares = f"{100 * self.share:.2f}", str(self.samples), f"{100 * self.samples / self.all_samples:.2f}"
        judged = (
            f"{100 * self.difference:+.2f}",
            f"{100 * self.allowed:.2f}",
            "yes" if self.within else "**no**",
        )
        return self.package, *shares, *judged


@dataclass(frozen=True, slots=True)
class ImportShares:
    """The comparison of the largest packages."""

    rows: tuple[PackageShare, ...]
    unnamed: int
    versions: str

    @property
    def good(self) -> bool:
        """Whether all agree."""
        return all(row.within for row in self.rows)

    def section(self) -> str:
        """The section of the page."""
        return SECTION.format(
            package=PACKAGE,
            versions=self.versions,
            table=markdown(HEADER, [row.cells() for row in self.rows]),
            largest=len(self.rows),
            processes=ROUNDS * RUNS,
            samples=self.rows[0].all_samples,
            unnamed=self.unnamed,
        )


def package_of_file(file: str) -> str:
    """The package of a module's file; empty for the program itself, frozen modules and generated code."""
    _, found, path = file.partition("/site-packages/")
    if found:
        parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
        return ".".join(parts[:2])
    return STANDARD_LIBRARY if _STANDARD_FOLDER.match(file) else ""


def package_of_stack(stack: str) -> str:
    """The package of the innermost module that runs, with whole paths; empty outside of the timed import."""
    if IMPORT not in stack:
        return ""
    for frame in reversed(stack.split(";")):
        module = _MODULE.fullmatch(frame)
        if module and (package := package_of_file(module[1])):
            return package
    return ""


def import_and_record(command: Sequence[str], spent: Counter[str], samples: Counter[str]) -> int:
    """Adds what `RUNS` new processes say, and what is seen of them, by package; samples with a marker."""
    unnamed = 0
    with tempfile.TemporaryDirectory(prefix="pidflame-imports-") as place:
        folder = Path(place)
        said = folder / "said"
        with recording(repeated((*command, str(said)), RUNS), folder, folder, ("--full-paths",)) as profiler:
            wait_for(profiler, folder)
        for line in said.read_text().splitlines():
            for file, spent_ns in json.loads(line).items():
                if package := package_of_file(file):
                    spent[package] += spent_ns
        for stack, count in folded(folder / "stacks.folded"):
            if package := package_of_stack(stack):
                samples[package] += count
            unnamed += count * any(marker in stack for marker in MARKERS)
    return unnamed


def compare() -> ImportShares:
    """Records the import, which times itself. Raises `NotSetUp`."""
    (application,) = (each for each in ALL if each.name == f"import {PACKAGE}")
    ready = set_up(application)
    command = ("env", ONE_THREAD, str(ready.python), str(PROGRAM), PACKAGE)
    spent: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    unnamed = 0
    for number in range(1, ROUNDS + 1):
        print(f"whose time an import is: round {number}/{ROUNDS}", file=sys.stderr)
        unnamed += import_and_record(command, spent, samples)
    rows = [
        PackageShare(package, spent_ns / spent.total(), samples[package], samples.total())
        for package, spent_ns in spent.most_common(LARGEST)
    ]
    return ImportShares(tuple(rows), unnamed, ready.versions)


def main() -> int:
    """Prints the comparison alone; returns 1 where a share is wrong."""
    shares = compare()
    print(shares.section())
    return 0 if shares.good else 1


if __name__ == "__main__":
    sys.exit(main())
