"""Small real programs and libraries, compiled by the machine's gcc, for the tests of ELF files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = r"""
#include <stdio.h>
#include <unistd.h>

const char greeting[] = "pidflame reads this";
int counter = 7;
static volatile char zeros[100000];

int marker(int n) { return n * counter + zeros[n]; }
__attribute__((noinline)) static int hidden_helper(int n) { return marker(n) + 1; }
__attribute__((weak, alias("marker"))) int marker_alias(int n);
__attribute__((alias("marker"))) int __marker_internal(int n);

int main(void) {
    char byte;
    printf("%p %p %p\n", (void *)marker, (void *)greeting, (void *)&counter);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) counter += hidden_helper(byte);
    return 0;
}
"""


def build(directory: Path, name: str, *flags: str, source: str = PROGRAM) -> Path:
    """Compiles C `source` to `directory`/`name`."""
    path = directory / name
    command = ["gcc", "-O1", "-x", "c", "-", "-o", str(path), *flags]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return path


FOR_DEBUGGERS = ("-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fomit-frame-pointer")
"""Flags that make gcc write .debug_frame, and nothing else, about how to get to callers."""


def debug_frame_of(directory: Path, source: str) -> bytes:
    """The .debug_frame of a library of C `source`."""
    library = build(directory, "debuggers.so", "-shared", "-fPIC", "-nostdlib", *FOR_DEBUGGERS, source=source)
    found = directory / "debug_frame"
    command = ("objcopy", "-O", "binary", "--only-section=.debug_frame", "--set-section-flags")
    subprocess.run((*command, ".debug_frame=alloc", library, found), check=True)
    return found.read_bytes()


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    offset: int
    path: str


@dataclass(frozen=True)
class RunningProgram:
    """A live `PROGRAM`: the addresses that it printed of itself, and its mappings of its own file."""

    marker: int
    greeting: int
    counter: int
    mappings: tuple[Mapping, ...]

    def mapping_of(self, address: int) -> Mapping:
        """The one that `address` lies in."""
        return next(m for m in self.mappings if m.start <= address < m.end)


@contextmanager
def running(program: Path) -> Iterator[RunningProgram]:
    """Runs a built `PROGRAM` until the block ends; it has said where it is by the time it starts."""
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            marker, greeting, counter = (int(word, 16) for word in process.stdout.readline().split())
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            mappings = tuple(read_mappings(maps, str(program)))
            yield RunningProgram(marker, greeting, counter, mappings)
        finally:
            process.stdin.close()


def read_mappings(maps: str, path: str) -> Iterator[Mapping]:
    """The mappings of the file `path` in the text of /proc/PID/maps."""
    for line in maps.splitlines():
        match = re.fullmatch(r"(\w+)-(\w+) (\S+) (\w+) \S+ \d+ *(.*)", line)
        assert match is not None
        start, end, permissions, offset, mapped = match.groups()
        if mapped == path:
            yield Mapping(int(start, 16), int(end, 16), permissions, int(offset, 16), mapped)
