"""The flame graph's cost beside flamegraph.pl's: ``python -m tests.bench.flamegraph_pl [PAGE...]``.

Both draw one generated recording, ours from its `Profile`, the other from the folded file. It is the copy of
flamegraph.pl that Debian's libdevel-nytprof-perl has, which is fetched into .cache and not installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from profiler.export.registry import format_for
from profiler.profile.model import Profile
from tests.bench.page import publish, written_by
from tests.bench.results import Machine
from tests.bench.table import markdown
from tests.support.many_stacks import many_stacks

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "flamegraph_pl"
PACKAGE = "libdevel-nytprof-perl"
SCRIPT = CACHE / "usr/share/perl5/Devel/NYTProf/flamegraph.pl"
MB = 1_000_000
TITLE = "flamegraph.pl"
STACKS, SAMPLES = 100_000, 1_000_000


def fetch() -> Path:
    """The script; raises `subprocess.CalledProcessError` if the package can't be had."""
    if not SCRIPT.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=CACHE, check=True, stdout=sys.stderr)
        (package,) = CACHE.glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, CACHE], check=True)
    return SCRIPT


def ours(profile: Profile, write: str, path: Path) -> tuple[float, int]:
    """CPU seconds and bytes of one format."""
    started_s = time.process_time()
    with path.open("wb") as stream:
        format_for("", write).write(profile, stream)
    return time.process_time() - started_s, path.stat().st_size


def theirs(stacks: Path, picture: Path) -> tuple[float, int]:
    """CPU seconds and bytes of flamegraph.pl."""
    script = fetch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with picture.open("wb") as stream:
        subprocess.run(["perl", script, stacks], stdout=stream, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, picture.stat().st_size


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    profile = many_stacks(stacks=STACKS, samples=SAMPLES, timed=False)
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    paths = [folder / f"pidflame-bench-{os.getpid()}.{name}" for name in ("folded", "svg", "pl.svg")]
    try:
        rows = [
            ("folded", *ours(profile, "folded", paths[0])),
            ("svg", *ours(profile, "svg", paths[1])),
            ("flamegraph.pl", *theirs(paths[0], paths[2])),
        ]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
    made_by = written_by("tests.bench.flamegraph_pl docs/BENCHMARKS.md", Machine())
    explanation = f"{SAMPLES:,} samples over {STACKS:,} stacks, without times."
    cells = [(name, f"{cpu_s:.2f}", f"{size / MB:.1f}") for name, cpu_s, size in rows]
    table = markdown(("", "CPU, s", "file, MB"), cells)
    publish({TITLE: f"{made_by}\n{explanation}\n\n{table}"}, [Path(page) for page in sys.argv[1:]])


if __name__ == "__main__":
    main()
