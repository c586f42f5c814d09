"""Four processes that burn a fifth of every 50, 25, 100 and 10 ms: bursts.c, for so many milliseconds.

Their functions are what the processes are called: burst-50 and its like.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import handshake

SOURCE = Path(__file__).with_name("bursts.c")
SHARE = "0.2"
PERIODS_MS = ("50", "25", "100", "10")


def children_of(pid: int) -> list[int]:
    """Those that run now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Build, ready, go, burn, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True, help="milliseconds")
    parser.add_argument("--warm-up", action="store_true", help="burn in warm_up_until_go before the go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/bursts"
        subprocess.run(["gcc", "-O1", "-o", program, SOURCE], check=True)
        handshake.ready()
        handshake.wait(warm_up=arguments.warm_up)
        command = [program, str(arguments.units / 1000), SHARE, *PERIODS_MS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            pids: list[int] = []
            while len(pids) < len(PERIODS_MS):
                pids = children_of(running.pid)
            assert running.stdout is not None
            cpu_s = json.loads(running.stdout.read())
    spent_ns = {name: round(seconds * handshake.NS) for name, seconds in cpu_s.items()}
    handshake.tell(spent_ns, sum(spent_ns.values()), pids=pids)
    handshake.linger()


if __name__ == "__main__":
    main()
