"""What unwind tables cost: as root ``-m tests.bench.tables [PAGE...]``, Markdown.

CPU seconds of making those of three files, each in a new process that has opened nothing before; and the
memory in the kernel of the tables of all files that many processes map: the largest executables of the
machine's folders of programs, one process each, with the libraries that the dynamic linker gives them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

from profiler.capture.unwind_tables import MOST_BYTES
from symbolizers.elf.file import ElfFile
from symbolizers.errors import Malformed
from symbolizers.native.unwind_table import make_chunks
from tests.bench.page import prose, publish, written_by
from tests.bench.results import Machine
from tests.bench.table import NONE, markdown, spread

TITLE = "tables"
ROUNDS = 5
PROCESSES = 200
FOLDERS = ("/usr/bin", "/usr/sbin")
ELF = b"\x7fELF"
MB = 1 << 20
PAGE_BYTES = 4096
FILES = (
    ("libc", "/lib/x86_64-linux-gnu/libc.so.6", 0.1),
    ("python", "/usr/bin/python3", 0.2),
    ("node", shutil.which("node") or "node", 1.5),
)
"""A name, the file, and the CPU seconds that its table may take."""
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


class Made(NamedTuple):
    """The table of a file."""

    cpu_s: float
    table_bytes: int
    is_refused: bool
    """Whether the file has more rows than a table may have, or what it says makes no sense."""


def make(path: str) -> Made:
    """Makes it; a file without unwind information has an empty one. Raises OSError."""
    is_refused = False
    started = time.process_time()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = len(make_chunks(ElfFile.from_fd(descriptor)))
    except Malformed:
        size, is_refused = 0, True
    finally:
        os.close(descriptor)
    return Made(time.process_time() - started, size, is_refused)


def make_apart(path: str) -> Made:
    """The same in a process that is forked for it, as a worker is, and ends."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(make, path).result()


def time_row(name: str, path: str, limit_s: float) -> Sequence[str]:
    """One file's row."""
    if not os.path.exists(path):
        return (name, NONE, NONE, "not installed", f"{limit_s:g}", NONE)
    made = [make_apart(path) for _ in range(ROUNDS)]
    seconds = [each.cpu_s for each in made]
    verdict = "yes" if median(seconds) <= limit_s else "**no**"
    sizes = (f"{os.path.getsize(path) / MB:.1f}", f"{made[0].table_bytes / MB:.2f}")
    return (name, *sizes, spread(seconds, 3), f"{limit_s:g}", verdict)


def executables(count: int) -> list[str]:
    """The largest ELF files among the machine's programs, without links."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for path in (path for folder in FOLDERS for path in Path(folder).iterdir()):
        if path.is_file() and os.access(path, os.X_OK):
            with path.open("rb") as file:
                if file.read(len(ELF)) == ELF:
                    status = path.stat()
                    found[status.st_dev, status.st_ino] = status.st_size, str(path)
    return [path for _, path in sorted(found.values(), reverse=True)[:count]]


def libraries(path: str) -> list[str]:
    """What the dynamic linker would map for the program."""
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return _LIBRARY.findall(told)


def mapped_files(programs: Iterable[str]) -> list[str]:
    """The executables and their libraries, each file once."""
    paths = [path for program in programs for path in (program, *libraries(program))]
    return sorted({os.path.realpath(path) for path in paths})


def memory_text() -> str:
    """What the kernel would hold for as many processes."""
    programs = executables(PROCESSES)
    files = mapped_files(programs)
    with ProcessPoolExecutor() as pool:
        made = list(pool.map(make, files, chunksize=4))
    table_bytes = sum(-(-each.table_bytes // PAGE_BYTES) * PAGE_BYTES for each in made)
    size, largest = max((each.table_bytes, path) for each, path in zip(made, files, strict=True))
    refused = sum(each.is_refused for each in made)
    verdict = "fit in" if table_bytes <= MOST_BYTES else "**do not fit in**"
    return prose(f"""
        The {len(programs)} largest executables of {" and ".join(FOLDERS)}, one process each, map {len(files)}
        files together. The tables of all these files take {table_bytes / MB:.1f} MB and
        {sum(each.cpu_s for each in made):.0f} s of CPU; the largest is that of {os.path.basename(largest)}
        with {size / MB:.1f} MB. Files that have more rows than a table may have: {refused}. The tables
        {verdict} the {MOST_BYTES / MB:.0f} MB that the kernel is given.""")


def main() -> None:
    """Measures, and writes its part of the pages that are named."""
    rows = [time_row(*file) for file in FILES]
    header = ("unwind table of", "file, MB", "table, MB", "CPU, s", "at most", "kept")
    explanation = f"Each table is made {ROUNDS} times, by a new process."
    made_by = written_by("tests.bench.tables docs/BENCHMARKS.md", Machine())
    text = f"{made_by}\n{explanation}\n\n{markdown(header, rows)}\n\n{memory_text()}"
    publish({TITLE: text}, [Path(page) for page in sys.argv[1:]])


if __name__ == "__main__":
    main()
