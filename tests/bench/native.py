"""``docs/NATIVE.md``: how many native stacks of real programs are whole, and how many leaves have names.

Each program is recorded twice: the first recording makes the unwind tables that the second one finds. Those
that earlier runs have kept are removed before.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profiler.capture.cache import folder as cache_folder
from tests.bench.table import markdown
from tests.support.live.harness import WORKLOADS, record
from tests.support.page_sections import put

HZ = 199
PROGRAMS = Path(__file__).parents[1] / "support" / "native"
ROOT = Path(__file__).parents[2]
CPP = str(WORKLOADS / "whole.cpp")
TITLE = "whole stacks"
HEADER = ("program", "stacks", "whole, %", "not whole", "first recording: whole, %", "named leaves, %")
ENDS = {
    "no_table": "table not there yet",
    "lost": "nothing says where the caller is",
    "would_fault": "read would fault",
    "deep": "too deep",
}


@dataclass(frozen=True, slots=True)
class Program:
    """What is recorded. `build` makes it first, in the folder where it runs then."""

    name: str
    command: str
    build: str = ""
    also: tuple[str, ...] = ()
    """What it starts."""

    def needs(self) -> Iterable[str]:
        """The programs that have to be installed."""
        started = (each.split()[0] for each in (self.command, self.build) if each)
        return (*(each for each in started if not each.startswith("./")), *self.also)


ALL = (
    Program("C++, -O2 -fomit-frame-pointer", "./whole 4", f"g++ -O2 -fomit-frame-pointer {CPP} -o whole"),
    Program("C++, clang", "./whole 4", f"clang++ -O2 -fomit-frame-pointer {CPP} -o whole"),
    Program("Rust", "./mixed", f"rustc -O {PROGRAMS / 'mixed.rs'}"),
    Program("Go", "./mixed", f"go build -o mixed {PROGRAMS / 'mixed.go'}"),
    Program("OCaml", "./mixed", f"cp {PROGRAMS / 'mixed.ml'} . && ocamlopt mixed.ml -o mixed", ("ocamlopt",)),
    Program(
        "Go, cgo and growing stacks",
        "./goroutines 4",
        f"go build -o goroutines {WORKLOADS / 'goroutines.go'}",
    ),
    Program("g++ compiles", f"sh -c 'for each in 1 2 3 4; do g++ -O2 -c {CPP} -o /dev/null; done'"),
    Program(
        "git clones and packs",
        f"sh -c 'git clone -q {ROOT} copy; git -C copy gc -q --aggressive; rm -rf copy'",
    ),
    Program("zstd", "sh -c 'tar c -C /usr/lib/python3 . | zstd -q -15 > /dev/null'"),
    Program("sqlite3", f"sqlite3 :memory: '.read {PROGRAMS / 'numbers.sql'}'"),
    Program("openssl", "openssl speed -seconds 1 rsa2048 sha256"),
    Program(
        "node", f"node --perf-basic-prof --no-logfile-per-isolate --logfile=/dev/null {PROGRAMS / 'fib.js'} 4"
    ),
    Program(
        "java, frame pointers", "java -XX:+PreserveFramePointer Fib 4", f"javac -d . {PROGRAMS / 'Fib.java'}"
    ),
    Program("java", "java Fib 4", f"javac -d . {PROGRAMS / 'Fib.java'}"),
    Program("php", f"php {PROGRAMS / 'mixed.php'}"),
    Program("ruby", f"ruby {PROGRAMS / 'mixed.rb'}"),
    Program("perl", f"perl {PROGRAMS / 'mixed.pl'}"),
    Program("python", f"python3 {PROGRAMS / 'mixed.py'}"),
    Program("PostgreSQL under pgbench", f"sh {PROGRAMS / 'postgres.sh'}", also=("pgbench",)),
    Program("Redis under redis-benchmark", f"sh {PROGRAMS / 'redis.sh'}", also=("redis-server",)),
    Program("nginx under ab", f"sh {PROGRAMS / 'nginx.sh'}", also=("nginx", "ab")),
    Program("pip", f"{sys.executable} -m pip list --format=json"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one recording: native stacks by how they ended, and samples by whether their leaf has a name."""

    ends: Mapping[str, int]
    named: int
    samples: int

    def whole(self) -> float:
        """Per cent."""
        return 100 * self.ends["root"] / max(sum(self.ends.values()), 1)


def recorded(program: Program, folder: Path) -> Figures:
    """Records it once."""
    found = record(folder, "-F", str(HZ), command=["sh", "-c", f"cd {folder} && exec {program.command}"])
    if found.exit_code:
        raise RuntimeError(f"{program.name} failed:\n{found.said}")
    named = found.where(lambda stack: not stack[-1].startswith("["))
    return Figures(found.stats["native_stacks"], named, sum(found.stacks.values()))


def forget_tables() -> None:
    """Earlier runs have made none."""
    for table in cache_folder().glob("*.unwind"):
        table.unlink(missing_ok=True)


def row(program: Program) -> Sequence[str]:
    """What is to be seen of it; a dash where it is not installed."""
    lacking = [each for each in program.needs() if shutil.which(each) is None]
    if lacking:
        return (program.name, "-", "-", f"{lacking[0]} is not installed", "-", "-")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if program.build:
            subprocess.run(["sh", "-c", program.build], cwd=folder, check=True)
        forget_tables()
        first, second = recorded(program, folder), recorded(program, folder)
    others = ", ".join(f"{second.ends[end]} {text}" for end, text in ENDS.items() if second.ends[end])
    return (
        *(program.name, str(sum(second.ends.values())), f"{second.whole():.1f}", others or "-"),
        *(f"{first.whole():.1f}", f"{100 * second.named / max(second.samples, 1):.1f}"),
    )


def main() -> None:
    """Writes its part of the page that is named, or prints it."""
    rows = [row(program) for program in ALL]
    text = f"""\
Written by `python -m tests.bench.native docs/NATIVE.md`
on {os.cpu_count()} CPUs, Linux {platform.release()}.
Each program is recorded twice with `pidflame record -F {HZ} -- PROGRAM`: the first recording finds no
unwind table that was made before, the second one those that the first has made. A stack is whole if it ends
where the program or the thread began.

{markdown(HEADER, rows)}"""
    if len(sys.argv) > 1:
        put(Path(sys.argv[1]), TITLE, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
