"""Half an hour of recording beside programs that come and go: ``python -m tests.bench.soak [MINUTES]``.

Prints, as Markdown, what all processes of the recording hold, minute by minute.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.live.soak import HZ, soak

MINUTE_S = 60.0


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with TemporaryDirectory(prefix="pidflame-soak-") as folder:
        soaked = soak(Path(folder), minutes * MINUTE_S, MINUTE_S)
    print(f"{minutes} minutes at {HZ} Hz:\n")
    print("| minute | PSS, MB | descriptors | processes |\n| --- | --- | --- | --- |")
    for point in soaked.points:
        row = (f"{point.after_s / MINUTE_S:.0f}", f"{point.pss_bytes / 1e6:.1f}", point.descriptors)
        print(f"| {' | '.join(map(str, row))} | {point.processes} |")
    stats = soaked.stats
    ended = sum(row["processes"] for row in stats["per_process"] if row["pid"] is None)
    print(f"\n{stats['samples']} samples, {stats['lost']} lost; {ended} that ended count by program.")


if __name__ == "__main__":
    main()
