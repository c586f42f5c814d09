"""More samples than the ring buffer holds: what has no room is counted, to the sample."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.live.harness import Recording, target, workload

HZ = 1000
CPU_S = 4.0
"""With stacks 500 deep (12 kB each), this is ten times what the buffer holds."""
WRONG = 0.05
"""A session that is stopped keeps the length of slots that it has drawn: 3 % from the mean at most."""


def test_what_finds_no_room_is_counted(tmp_path: Path) -> None:
    """The profiler gets no CPU (it is stopped) while its only target works, and until that is gone."""
    with target(*workload("split.py", "--cpu-seconds", str(CPU_S), "--depth", "500")) as running:
        recording = Recording(tmp_path, ["-F", str(HZ), "-p", str(running.process.pid)])
        recording.process.send_signal(signal.SIGSTOP)
        running.go()
        truth = running.truth()
        running.end()
        recording.process.send_signal(signal.SIGCONT)
        recorded = recording.wait()
    assert recorded.exit_code == 0
    recorded.accounted()
    samples, lost = recorded.stats["samples"], recorded.stats["lost"]
    assert lost > samples > 100
    assert abs((samples + lost) / (truth["total_cpu_s"] * HZ) - 1) <= WRONG
    assert any("of all samples don't show what ran" in warning for warning in recorded.stats["warnings"])
