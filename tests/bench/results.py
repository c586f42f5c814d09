"""The measurements of a run of the bench as a JSON file, from which its tables can be made again."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from tests.bench.measure import Measurement


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when something was measured."""

    day: str = field(default_factory=lambda: date.today().isoformat())
    cpus: int = os.cpu_count() or 1
    model: str = field(default_factory=lambda: _model())
    kernel: str = field(default_factory=platform.release)

    def __str__(self) -> str:
        return f"{self.day}, {self.cpus} CPUs ({self.model}), Linux {self.kernel}"


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


@dataclass(frozen=True, slots=True)
class Results:
    """A run."""

    machine: Machine
    rounds: int
    seconds: float
    """About how long a target worked."""
    measurements: tuple[Measurement, ...]

    def keep(self, file: Path) -> None:
        """Writes it."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read(file: Path) -> Results:
    """What was kept. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(file.read_bytes(), type=Results)
