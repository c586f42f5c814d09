"""The fuzz lane: gives every parser of target bytes inputs that are almost right, and keeps what it fails on.

    make fuzz                                     ten minutes, the time split over the targets
    python -m tests.fuzz.lane --list
    python -m tests.fuzz.lane --target elf --seconds 60 --seed 7
    python -m tests.fuzz.lane --replay .cache/fuzz/elf-0123456789abcdef

An input that reaches lines, or pairs of lines, that none before it reached is changed further. Each input
that a target fails on is written to a file whose name begins with the target's, and can be replayed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.mutate import Mutator
from tests.fuzz.target import ROOT, Lines, Target, problem_with
from tests.fuzz.targets import TARGETS

FOLDER: Final = ROOT / ".cache" / "fuzz"
_WATCHED: Final = 4
"""One input in so many is watched for new lines, which is slow."""


@dataclass(frozen=True)
class Finding:
    """An input that a target fails on; `problem` tells it from others, `story` is for people."""

    target: str
    problem: str
    story: str
    data: bytes

    def write(self, folder: Path) -> Path:
        """Writes the input to a file of `folder`, and gives its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.target}-{hashlib.sha256(self.data).hexdigest()[:16]}"
        path.write_bytes(self.data)
        return path


class Fuzzer:
    """Fuzzes one target. The same `seed` gives the same inputs in the same order."""

    def __init__(self, target: Target, seed: int) -> None:
        self._target = target
        self._random = random.Random(f"{seed}/{target.name}")
        self._mutator = Mutator(self._random, target.words)
        self._pool = target.seeds()
        self._lines = Lines()
        self._known: set[str] = set()
        self.inputs = 0
        for data in self._pool:
            self._reaches_new_lines(data)

    def run(self, seconds: float) -> Iterator[Finding]:
        """What goes wrong within `seconds` of CPU time; each problem once."""
        end_s = time.process_time() + seconds
        waiting = list(self._pool)
        while time.process_time() < end_s:
            data = waiting.pop() if waiting else self._changed()
            self.inputs += 1
            problem, story = problem_with(self._target, data)
            if problem:
                if problem not in self._known:
                    self._known.add(problem)
                    yield Finding(self._target.name, problem, story, data)
            elif not self.inputs % _WATCHED and self._reaches_new_lines(data):
                self._pool.append(data)

    def summary(self) -> str:
        """For people."""
        return f"{self.inputs} inputs, {len(self._pool)} kept, {len(self._lines.seen)} steps reached"

    def _changed(self) -> bytes:
        chosen = self._random.choice(self._pool)
        data = self._mutator.changed(chosen, self._pool, self._target.places(chosen))
        return data[: self._target.most_bytes]

    def _reaches_new_lines(self, data: bytes) -> bool:
        before = len(self._lines.seen)
        with self._lines.watched(), suppress(self._target.allowed):
            self._target.run(data)
        return len(self._lines.seen) > before


def _replay(path: Path) -> int:
    target = next(each for each in TARGETS if path.name.startswith(f"{each.name}-"))
    problem, story = problem_with(target, path.read_bytes())
    print(story or f"{target.name}: this input is fine now")
    return bool(problem)


def main() -> int:
    """Runs the lane. 1 where a target failed."""
    parser = argparse.ArgumentParser(description="Fuzz the parsers of target bytes.")
    parser.add_argument("--seconds", type=float, default=600, help="of CPU time, in all")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    parser.add_argument("--target", action="append", choices=[each.name for each in TARGETS])
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(each.name for each in TARGETS))
        return 0
    if chosen.replay:
        return _replay(chosen.replay)
    targets = [each for each in TARGETS if not chosen.target or each.name in chosen.target]
    print(f"seed {chosen.seed}")
    failed = 0
    for target in targets:
        fuzzer = Fuzzer(target, chosen.seed)
        for finding in fuzzer.run(chosen.seconds / len(targets)):
            failed = 1
            path = finding.write(FOLDER)
            print(f"{finding.story}{target.name}: {finding.problem}: make fuzz-replay INPUT={path}")
        print(f"{target.name}: {fuzzer.summary()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
