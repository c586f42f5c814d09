"""What an unprivileged user may try against a recording, by name: the programs that it runs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.live.neighbours.place import TABLES, Place

SLEEPING = ("1", "sleep")
"""Arguments of a burner that only lies there."""

MOST_LIBRARY_BYTES = 2 << 20
"""Larger ones take too long to search for a place to stay in."""


class Attack(NamedTuple):
    """The commands of an attack, and what the recording is asked for on the command line."""

    commands: Callable[[Place], list[list[str]]]
    options: tuple[str, ...] = ()


def _burners(*names: str) -> Attack:
    return Attack(lambda place: [[place.program(name)] for name in names])


def _storm(kind: str, *, times: int = 1) -> Attack:
    return Attack(lambda place: [[place.program("storm"), kind]] * times)


def _python(name: str, *programs: str, times: int = 1, options: tuple[str, ...] = ()) -> Attack:
    def commands(place: Place) -> list[list[str]]:
        return [place.python(name, *map(place.program, programs))] * times

    return Attack(commands, options)


def _at_the_end_of_memory(place: Place) -> list[list[str]]:
    corner = place.program("corner")
    return [[corner], [corner, *SLEEPING]]


def _many_builds(place: Place) -> list[list[str]]:
    builds = [place.program(f"build-{number}") for number in range(TABLES)]
    return [[place.program("build-0")], *([build, *SLEEPING] for build in builds)]


def _tour_of_libraries(place: Place) -> list[list[str]]:
    files = (path for path in Path("/usr/lib").rglob("*.so*") if path.is_file() and not path.is_symlink())
    libraries = [str(path) for path in files if path.stat().st_size < MOST_LIBRARY_BYTES]
    half = len(libraries) // 2
    return [[place.program("tour"), *part] for part in (libraries[:half], libraries[half:])]


ATTACKS: Mapping[str, Attack] = {
    "runtime at the end of memory": Attack(_at_the_end_of_memory),
    "descriptions that lie": _burners("liar", *(f"liar-{seed}" for seed in range(1, 6))),
    "many builds": Attack(_many_builds),
    "costly tables": _burners("hole", "large-hole", "notes", "symbols"),
    "new costly files": _python("newcomers.py", "hole", "large-hole", "notes", times=3),
    "all libraries of the system": Attack(_tour_of_libraries),
    "forks": _storm("forks", times=2),
    "forks of Python": _python("python_forks.py", times=2),
    "execs": _storm("execs", times=3),
    "60,000 mappings": _storm("mappings", times=2),
    "mappings that come and go": _storm("churn", times=2),
    "names that change": _storm("renames"),
    "threads": _storm("threads"),
    "zombies": _storm("zombies"),
    "stopped": _storm("stopped", times=2),
    "traced": _storm("traced", times=2),
    "hidden": _storm("hidden"),
    "pages that never come": _burners("absent"),
    "long names": _python("names.py"),
    "long line tables": _python("lines.py", options=("--lines",)),
    "deep stacks in new orders": _python("orders.py"),
    "code that is thrown away": _python("thrown.py"),
    "files that are swapped": _python("swaps.py", "truthful", "liar"),
    "probes": _python("prober.py"),
}
