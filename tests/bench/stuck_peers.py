"""What other profilers do at a page that does not come: ``python -m tests.bench.stuck_peers``.

For every part of a Python target under a userfaultfd, each peer is to sample for `DURATION_S`. A line says
whether it ended by `LIMIT_S`, and what the target was meanwhile: its states, and the CPU it used in the
second half (it uses about 0.08 s each second when left alone). Peers are killed, targets freed.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.live.stuck import PYTHON_PARTS, Place, Stuck, build_library, on_userfault

TOOLS = Path(__file__).resolve().parents[2] / ".cache" / "bench-venv" / "bin"
DURATION_S = 2
LIMIT_S = 6.0
LOOK_EVERY_S = 0.05


def commands(pid: int, folder: Path) -> dict[str, list[str]]:
    """Every peer at hand, by name, as it samples `pid` for `DURATION_S`."""
    output = str(folder / "peer.out")
    py_spy = [str(TOOLS / "py-spy"), "record", "-r", "100", "-d", str(DURATION_S), "-f", "raw"]
    austin = [str(TOOLS / "austin"), "-i", "10000", "-x", str(DURATION_S), "-o", output]
    peers = {
        "py-spy": [*py_spy, "-o", output, "-p", str(pid)],
        "py-spy --nonblocking": [*py_spy, "-o", output, "--nonblocking", "-p", str(pid)],
        "austin": [*austin, "-p", str(pid)],
    }
    return {name: command for name, command in peers.items() if Path(command[0]).exists()}


def states_of(pid: int) -> str:
    """The state letters of its threads, sorted."""
    stats = (task / "stat" for task in Path(f"/proc/{pid}/task").iterdir())
    return "".join(sorted(stat.read_text().rpartition(")")[2].split()[0] for stat in stats))


def observe(stuck: Stuck, command: list[str]) -> str:
    """One peer at one target, in a line."""
    began_s = time.monotonic()
    peer = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen: Counter[str] = Counter()
    half_cpu_s = stuck.cpu_s()
    try:
        while peer.poll() is None and time.monotonic() - began_s < LIMIT_S:
            if time.monotonic() - began_s < LIMIT_S / 2:
                half_cpu_s = stuck.cpu_s()
            else:
                seen[states_of(stuck.pid)] += 1
            time.sleep(LOOK_EVERY_S)
        took_s, used_s = time.monotonic() - began_s, stuck.cpu_s() - half_cpu_s
        ended = f"ended after {took_s:.1f} s ({peer.poll()})" if peer.poll() is not None else "did not end"
    finally:
        peer.kill()
    states = ", ".join(f"{state} x{count}" for state, count in seen.most_common(3))
    return f"{ended}; target used {used_s:.2f} s in the second half; states {states or '-'}"


def main() -> None:
    """All parts, all peers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = Place(build_library(folder), folder)
        for part in PYTHON_PARTS:
            for peer in commands(0, folder):
                with on_userfault(place, "python", part) as stuck:
                    line = observe(stuck, commands(stuck.pid, folder)[peer])
                    went_on_s = stuck.goes_on_s()
                print(f"{part:7} {peer:21} {line}; went on after {went_on_s:.2f} s", flush=True)


if __name__ == "__main__":
    main()
