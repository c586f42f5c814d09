"""Prints how many lines of the sampler, and of each language's walker, the tests' images run.

    python -m tests.walkers.coverage [--missing]

By gcov, which comes with gcc. ``--missing`` prints the lines that never ran.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from profiler.capture.header import BPF_DIRECTORY
from symbolizers.registry import LANGUAGES
from tests.support.walkers.corpus import forged, lies, rows_of, soup
from tests.support.walkers.harness import COVERAGE, Harness, Image, build, running
from tests.support.walkers.targets import PROGRAMS, take

SEEDS = 100
"""Of each image: walks with lies in it, and at most of walks that fault at a read."""


@dataclass(frozen=True)
class Lines:
    """Line numbers of one file that have code, and those of them that never ran."""

    all: frozenset[int]
    missing: frozenset[int]

    @property
    def share(self) -> float:
        """Of the lines, those that ran: 0 to 1."""
        return 1 - len(self.missing) / len(self.all)


def exercise(harness: Harness, language: str) -> None:
    """Walks what the tests walk: the language's real and forged interpreters, both with lies, and soup."""
    images: list[Image] = forged(language)
    if language in PROGRAMS:
        scenarios = (("kinds",), ("thread",), ("deep", "1500"))
        images += [take(harness, language, *scenario).image for scenario in scenarios]
    for image in images:
        walk = harness.walk(image, traced=True, named=True)
        words = walk.words()
        for number in range(1, min(walk.reads, SEEDS) + 1):
            harness.walk(image, fails_at=number, named=True)
        for seed in range(SEEDS):
            harness.walk(image, lies(image, words, seed), named=True)
    chance = random.Random(0)
    for row in rows_of(language):
        for _ in range(SEEDS):
            harness.walk(soup(language, dict(row.numbers()), chance.getrandbits(32)), named=True)


def measure(directory: Path) -> dict[str, Lines]:
    """The lines of sample.c and of the headers beside it, by name, after everything was walked."""
    program = build(directory, COVERAGE)
    with running(program) as harness:
        for language in LANGUAGES:
            exercise(harness, language.name)
    command = ("gcov", "--json-format", "--stdout", *(str(path) for path in directory.glob("*.gcda")))
    told = subprocess.run(command, cwd=directory, capture_output=True, check=True, text=True).stdout
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for document in filter(None, told.splitlines()):
        for file in json.loads(document)["files"]:
            name = Path(file["file"]).name
            for line in file["lines"]:
                number = line["line_number"]
                counts[name][number] = counts[name].get(number, 0) + line["count"]
    return {
        name: Lines(frozenset(lines), frozenset(line for line, count in lines.items() if not count))
        for name, lines in counts.items()
        if (BPF_DIRECTORY / name).is_file()
    }


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory))
    for name, lines in sorted(found.items()):
        ran = len(lines.all) - len(lines.missing)
        print(f"{name:20} {ran:4} of {len(lines.all):4} lines  {lines.share:6.1%}")
        if "--missing" in arguments:
            text = (BPF_DIRECTORY / name).read_text().splitlines()
            for number in sorted(lines.missing):
                print(f"    {number:4} {text[number - 1].strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
