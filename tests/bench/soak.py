"""Half an hour of recording beside programs that come and go: as root ``-m tests.bench.soak [PAGE...]``.

The table has what all processes of the recording hold, minute by minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.page import prose, publish, written_by
from tests.bench.results import Machine
from tests.bench.table import markdown
from tests.support.live.soak import HZ, Soaked, soak

TITLE = "soak"
MINUTE_S = 60.0
LAST_MINUTES = 20


def text_of(soaked: Soaked, minutes: int) -> str:
    """The part of the page."""
    ended = sum(row["processes"] for row in soaked.stats["per_process"] if row["pid"] is None)
    last = soaked.points[-LAST_MINUTES:]
    growth = last[-1].pss_bytes / last[0].pss_bytes - 1
    explanation = prose(f"""
        {minutes} minutes at {HZ} Hz beside a busy Python and a shell that starts some fifty programs a
        second: {soaked.stats["samples"]:,} samples, of which {soaked.stats["lost"]} were lost. {ended:,}
        processes that were sampled and ended count by program. Over the last {len(last)} rows, memory grew by
        {100 * growth:.1f} %.""")
    rows = [
        (
            f"{point.after_s / MINUTE_S:.0f}",
            f"{point.pss_bytes / 1e6:.1f}",
            str(point.descriptors),
            str(point.processes),
        )
        for point in soaked.points
    ]
    table = markdown(("minute", "PSS, MB", "descriptors", "processes"), rows)
    made_by = written_by(f"tests.bench.soak docs/BENCHMARKS.md --minutes {minutes}", Machine())
    return f"{made_by}\n{explanation}\n\n{table}"


def main() -> None:
    """Records, and writes its part of the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", type=Path, nargs="*")
    parser.add_argument("--minutes", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.minutes < 2:
        parser.error("--minutes: two at least")
    with TemporaryDirectory(prefix="pidflame-soak-") as folder:
        soaked = soak(Path(folder), arguments.minutes * MINUTE_S, MINUTE_S)
    publish({TITLE: text_of(soaked, arguments.minutes)}, arguments.pages)


if __name__ == "__main__":
    main()
