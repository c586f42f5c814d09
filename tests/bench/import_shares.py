"""``import pandas``, by package: the shares in pidflame's stacks beside those of ``-X importtime``.

importtime's *self* time of a module is all that its import takes, except the imports in it: finding it,
reading its bytecode, running it. A sample belongs to the same module: the one whose import is the innermost
on the stack (`tests.bench.import_stacks`). Modules count together by the first two parts of their names.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from tests.bench.application_list import ALL
from tests.bench.application_record import recording, repeated, wait_for
from tests.bench.application_setup import NotSetUp, environment, set_up
from tests.bench.import_stacks import NO_NAME, package_of, package_of_stack, parse
from tests.bench.peers import folded
from tests.bench.table import markdown

PACKAGE = "pandas"
LARGEST = 10
ROUNDS = 8
TIMED_RUNS = 15
RECORDED_RUNS = 40
"""How many processes a round has, of each kind."""
SIGMAS = 3.0
ONE_THREAD = "OPENBLAS_NUM_THREADS=1"
"""NumPy would start threads that burn CPU time, which no module imports."""
KEEPING = f"""
from importlib._bootstrap_external import SourceLoader
kept, get_code = [], SourceLoader.get_code
def keep(loader, name):
    kept.append(get_code(loader, name))
    return kept[-1]
SourceLoader.get_code = keep
import {PACKAGE}
"""
"""The import with every module's code object kept, so that each name can be read at leisure: a control."""
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| ( *)(\S+)")
HEADER = (
    "package",
    "importtime, %",
    "samples",
    "stacks, %",
    "difference, points",
    "3 sigma, points",
    "within",
)


@dataclass(frozen=True, slots=True)
class PackageShare:
    """One row: a share of the import by importtime, in each of its runs, and a number of samples."""

    package: str
    timed: tuple[float, ...]
    samples: int
    all_samples: int
    processes: int

    @property
    def timed_share(self) -> float:
        return mean(self.timed)

    @property
    def difference(self) -> float:
        """The share in the stacks less that by importtime."""
        return self.samples / self.all_samples - self.timed_share

    @property
    def allowed(self) -> float:
        """`SIGMAS` of chance: of the samples, and of how much runs differ, timed ones and recorded ones."""
        share = self.timed_share
        runs = stdev(self.timed) ** 2 * (1 / len(self.timed) + 1 / self.processes)
        return SIGMAS * sqrt(share * (1 - share) / self.all_samples + runs)

    @property
    def within(self) -> bool:
        return abs(self.difference) <= self.allowed


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
        lines = [
            (
                row.package,
                f"{100 * row.timed_share:.2f}",
                str(row.samples),
                f"{100 * row.samples / row.all_samples:.2f}",
                f"{100 * row.difference:+.2f}",
                f"{100 * row.allowed:.2f}",
                "yes" if row.within else "**no**",
            )
            for row in self.rows
        ]
        first = self.rows[0]
        return SECTION.format(
            package=PACKAGE,
            versions=self.versions,
            table=markdown(HEADER, lines),
            largest=len(self.rows),
            runs=len(first.timed),
            processes=first.processes,
            samples=first.all_samples,
            unnamed=self.unnamed,
        )


SECTION = """## Whose time `import {package}` is

The {largest} largest packages of {versions}: their shares of the import by the self times of `-X importtime`
({runs} runs), and in the stacks of {processes} processes ({samples} samples within the import). A marker in
the place of a name hides the package of {unnamed} samples.

{table}

importtime's self time of a module includes finding it and reading its bytecode. A sample counts for the
module whose import is the innermost one on its stack: that of the `<module>` frame, or, before there is one,
that of the import statement which runs, as `--lines` tells. A package here is the first two parts of a
module's name; the standard library is one. What an extension module imports counts as its own on both sides,
since no frame names it. 3 sigma are those of the number of samples and of the differences
between runs.
"""


class SelfTime(NamedTuple):
    """One line of importtime; `importer` is the module whose import it is within, if any."""

    module: str
    self_us: int
    importer: str


def self_times(said: str) -> Iterator[SelfTime]:
    """Each import within that of `PACKAGE`, from what importtime says; `PACKAGE` comes first.

    A module's line stands behind those of the modules that it imports, which are indented further.
    """
    importers: list[str] = []
    for self_us, indent, module in reversed(_LINE.findall(said)):
        del importers[len(indent) // 2 :]
        importers.append(module)
        if importers[0] == PACKAGE:
            yield SelfTime(module, int(self_us), importers[-2] if len(importers) > 1 else "")


def is_extension(module: str, site_packages: Path) -> bool:
    """Whether it has no Python source below `site_packages`, but its folder is there."""
    place = site_packages / module.replace(".", "/")
    has_source = place.is_dir() or place.with_name(f"{place.name}.py").exists()
    return place.parent.is_dir() and place.parent != site_packages and not has_source


def counted_packages(times: Iterable[SelfTime], site_packages: Path) -> Iterator[tuple[str, int]]:
    """Package and self time of each import; what an extension module imports counts as its own."""
    packages: dict[str, str] = {}
    for module, self_us, importer in times:
        own = package_of(module)
        packages[module] = packages[importer] if is_extension(importer, site_packages) else own
        yield packages[module], self_us


@dataclass(frozen=True, slots=True)
class Timed:
    """One run under importtime: each package's share of the import, and the names of all modules in it."""

    shares: Mapping[str, float]
    modules: frozenset[str]


def time_import(command: Sequence[str], site_packages: Path) -> Timed:
    """Runs the import once. importtime writes to a file, where nobody's reading could hold it up."""
    with tempfile.TemporaryFile("w+") as sink:
        variables = {**environment(), "PYTHONPROFILEIMPORTTIME": "1"}
        if code := subprocess.run(command, env=variables, stderr=sink, check=False).returncode:
            raise NotSetUp(f"{shlex.join(command)} exited with {code}")
        sink.seek(0)
        times = list(self_times(sink.read()))
    by_package: Counter[str] = Counter()
    for package, self_us in counted_packages(times, site_packages):
        by_package[package] += self_us
    shares = {package: spent / by_package.total() for package, spent in by_package.items()}
    return Timed(shares, frozenset(time.module for time in times))


def record_import(command: Sequence[str], modules: frozenset[str]) -> Counter[str]:
    """Samples within the import in `RECORDED_RUNS` new processes, by package."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="pidflame-imports-") as place:
        folder = Path(place)
        options = ("--lines", "--full-paths")
        with recording(repeated(command, RECORDED_RUNS), folder, folder, options) as profiler:
            wait_for(profiler, folder)
        for stack, count in folded(folder / "stacks.folded"):
            if package := package_of_stack(parse(stack), modules, PACKAGE):
                counts[package] += count
    return counts


def compare(program: str = f"import {PACKAGE}") -> ImportShares:
    """Times and records the import by turns. Raises `NotSetUp`."""
    (application,) = (each for each in ALL if each.name == f"import {PACKAGE}")
    ready = set_up(application)
    command = ("env", ONE_THREAD, str(ready.python), "-c", program)
    (site_packages,) = ready.python.parents[1].glob("lib/python3.*/site-packages")
    timed: list[Timed] = []
    counts: Counter[str] = Counter()
    for number in range(1, ROUNDS + 1):
        print(f"whose time an import is: round {number}/{ROUNDS}", file=sys.stderr)
        timed += [time_import(command, site_packages) for _ in range(TIMED_RUNS)]
        counts += record_import(command, timed[0].modules)
    shares = {
        package: tuple(run.shares.get(package, 0.0) for run in timed)
        for package in {package for run in timed for package in run.shares}
    }
    largest = sorted(shares, key=lambda package: mean(shares[package]), reverse=True)[:LARGEST]
    recorded = ROUNDS * RECORDED_RUNS
    rows = [
        PackageShare(package, shares[package], counts[package], counts.total(), recorded)
        for package in largest
    ]
    return ImportShares(tuple(rows), counts[NO_NAME], ready.versions)


def main() -> int:
    """Prints the comparison alone; returns 1 where a share is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep-code", action="store_true", help="the control: no module's code is freed")
    shares = compare(KEEPING) if parser.parse_args().keep_code else compare()
    print(shares.section())
    return 0 if shares.good else 1


if __name__ == "__main__":
    sys.exit(main())
