"""Runs the README's two commands on fresh machines, or a command of one's own on one of them.

    python -m tests.fresh.run [RELEASE…]
    python -m tests.fresh.run RELEASE [--keep] -- COMMAND…

A fresh machine is a minimal root file system of a Debian release, entered as a container's is. ``make demo``
and ``make test`` run there in a clone of the current commit. The last lines count what passed by release. The
exit code is 0 if everything passed and nothing was skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.fresh import machine
from tests.fresh.roots import HOME, RELEASES, RootInUse, downloads, fresh_root, is_committed

_ENTER = Path(__file__).with_name("enter.sh")
_RESULT = HOME / "junit.xml"
_VARIABLES = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": f"/{HOME}",
    "TERM": "dumb",
}


@dataclass(frozen=True)
class Outcome:
    """How the two commands ended on one release; `remarks` name each test that failed or was skipped."""

    release: str
    demo: bool
    test: bool
    counts: Counter[str]
    remarks: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything ran and passed."""
        return self.demo and self.test and self.counts["passed"] == self.counts.total() > 0

    def __str__(self) -> str:
        commands = ", ".join(
            f"{name} {'ok' if good else 'FAILED'}"
            for name, good in (("demo", self.demo), ("test", self.test))
        )
        counts = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in ("passed", "failed", "skipped"))
        return f"{self.release}: {commands}, {counts}"


def enter(release: str, root: Path, *command: str) -> int:
    """Runs `command` in the clone in `root`, which is of `release`; its exit code."""
    handed_on = machine.environment()
    variables = [f"{name}={value}" for name, value in {**_VARIABLES, **handed_on}.items()]
    inside = ("env", "--ignore-environment", *variables, *command)
    namespace = ("unshare", "--mount", "--propagation", "private", "env", f"HOME={_VARIABLES['HOME']}")
    bound = machine.bound_directories(handed_on)
    entry = map(str, (_ENTER, root, downloads(release), *bound))
    return subprocess.run([*namespace, *entry, "--", *inside]).returncode


def read_result(file: Path) -> tuple[Counter[str], list[str]]:
    """How many tests ended how, and a line for each that did not pass, with the reason."""
    counts: Counter[str] = Counter()
    remarks = []
    for case in ElementTree.parse(file).iter("testcase") if file.exists() else ():
        ends = {"failure": "failed", "error": "failed", "skipped": "skipped"}
        ended = next(((ends[part.tag], part.get("message", "")) for part in case if part.tag in ends), None)
        counts[ended[0] if ended else "passed"] += 1
        if ended:
            reason = ended[1].strip().partition("\n")[0]
            remarks.append(f"{ended[0]}: {case.get('classname')}::{case.get('name')}: {reason}")
    return counts, remarks


def try_out(release: str) -> Outcome:
    """Both commands on a machine of `release` that nobody used before."""
    with fresh_root(release) as root:
        demo = enter(release, root, "make", "demo") == 0
        test = enter(release, root, "env", f"PYTEST_ADDOPTS=--junit-xml=/{_RESULT}", "make", "test") == 0
        counts, remarks = read_result(root / _RESULT)
    return Outcome(release, demo, test, counts, remarks)


def run_command(releases: Sequence[str], command: Sequence[str], *, keep: bool) -> int:
    """One command on a machine of each release; the highest of its exit codes."""
    codes = []
    for release in releases:
        with fresh_root(release, keep=keep) as root:
            codes.append(enter(release, root, *command))
    return max(codes)


def run_all(releases: Sequence[str]) -> int:
    """The README's commands on each release, and what came of it; 0 if all is good."""
    outcomes = [try_out(release) for release in releases]
    for outcome in outcomes:
        for remark in outcome.remarks:
            print(f"{outcome.release}: {remark}")
    print(*outcomes, sep="\n")
    return int(not all(outcome.good for outcome in outcomes))


def main() -> int:
    """Does what the arguments say; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=f"of {', '.join(RELEASES)}; else all")
    parser.add_argument(
        "--keep", action="store_true", help="the root stays, for the next COMMAND with --keep"
    )
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    command = given[end + 1 :]
    arguments = parser.parse_args(given[:end])
    releases = arguments.releases or RELEASES
    if unknown := set(releases) - set(RELEASES):
        parser.error(f"no release that is known here: {', '.join(sorted(unknown))}")
    if not is_committed():
        print("what is not committed is not on the fresh machines", file=sys.stderr)
    try:
        return run_command(releases, command, keep=arguments.keep) if command else run_all(releases)
    except RootInUse as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
