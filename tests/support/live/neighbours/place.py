"""A folder of a hostile user, with the programs that it runs; all of them end together."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from symbolizers.elf.symbols import MAX_STRINGS_BYTES, MAX_SYMBOLS
from symbolizers.python.layouts import LAYOUTS
from tests.live.test_hostile import SELF_DESCRIBED, forged_table
from tests.support.elf_forge import Forged, Section, forge, symbol
from tests.support.live.harness import SYSTEM_PYTHON
from tests.symbolizers.python.test_debug_offsets import table_of

PROGRAMS = Path(__file__).with_name("programs")
MOST_PROCESSES = 3000
"""Of the hostile user, threads included: the machine has to survive the test, too."""
PRIORITY = -20
"""Of the test while it records: it measures when a recording ends."""
HEX_VERSION = 0x030D05F0
TABLES = 80
"""More layouts than one user may have."""
LIES = {"object_type": 0x8000}
_FIRST_USER = 10_000_000
_CODE = 0x1000
"""Where the code of a program begins in its memory, and so do the symbols that tell lies about it."""


@dataclass(frozen=True)
class Place:
    """The folder: `programs` belong to root and can be run by all, `home` belongs to `user`."""

    folder: Path
    user: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def program(self, name: str) -> str:
        """The path of a program."""
        return str(self.folder / name)

    def python(self, name: str, *arguments: str) -> list[str]:
        """The command that runs a Python program of this package."""
        return [SYSTEM_PYTHON, self.program(name), *arguments]

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts a program of the hostile user, at the usual priority."""
        usual = ("nice", "-n", str(-os.getpriority(os.PRIO_PROCESS, 0)))
        return subprocess.Popen(
            ["prlimit", f"--nproc={MOST_PROCESSES}", *usual, *command],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            group=self.user,
            extra_groups=[],
            start_new_session=True,
        )

    def end_all(self) -> None:
        """Ends every process of the hostile user."""
        command = [SYSTEM_PYTHON, "-c", "import os, signal; os.kill(-1, signal.SIGKILL)"]
        subprocess.run(command, user=self.user, group=self.user, extra_groups=[], check=False)


@contextmanager
def hostile_place() -> Iterator[Place]:
    """A place with all programs built, of a user that nobody else is; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pidflame-neighbours-"))
    place = Place(folder, _FIRST_USER + os.getpid())
    try:
        folder.chmod(0o755)
        place.home.mkdir()
        os.chown(place.home, place.user, place.user)
        for source in PROGRAMS.iterdir():
            if source.suffix != ".c" and source.is_file():
                shutil.copy(source, folder)
        _build(place)
        yield place
    finally:
        place.end_all()
        shutil.rmtree(folder)


@contextmanager
def running(place: Place, commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Runs the hostile `commands` until the end of the block."""
    processes = [place.start(command) for command in commands]
    try:
        yield
        over = [process.args for process in processes if process.poll() not in (None, 0)]
        assert not over, f"hostile programs that did not run: {over}"
    finally:
        place.end_all()
        for process in processes:
            process.wait(timeout=20)
        shutil.rmtree(place.home)
        place.home.mkdir()
        os.chown(place.home, place.user, place.user)


def _build(place: Place) -> None:
    _compile(place, "storm", "storm.c", "-lpthread")
    _compile(place, "tour", "tour.c")
    _compile(place, "burner", "burner.c")
    python = f"-DPYTHON_HEXVERSION={HEX_VERSION:#x}"
    _compile(place, "corner", "burner.c", python, "-Wl,--defsym,_PyRuntime=0xffffffffffffff00")
    true = table_of(LAYOUTS.named(SELF_DESCRIBED[HEX_VERSION]), hex_version=HEX_VERSION)
    words = ",".join(f"{word:#x}UL" for (word,) in struct.iter_unpack("<Q", true))
    for name, claims in (("truthful", ()), ("absent", ("-DABSENT",))):
        _compile(place, name, "burner.c", "-Wno-override-init", python, f"-DPYTHON_OFFSETS={words}", *claims)
    _describe(place, true)
    _forge(place)


def _compile(place: Place, name: str, source: str, *options: str) -> None:
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-rdynamic", "-o", place.program(name)]
    subprocess.run(["cc", *flags, str(PROGRAMS / source), *options], check=True)


def _describe(place: Place, true: bytes) -> None:
    """Builds that describe themselves differently: some tell lies, and the others are many."""
    row = LAYOUTS.named(SELF_DESCRIBED[HEX_VERSION])
    tables = {"liar": table_of(row, LIES, hex_version=HEX_VERSION)}
    for number in range(TABLES):
        tables[f"build-{number}"] = table_of(
            row, {"unicode_length": row["unicode_length"] + 8 * number}, hex_version=HEX_VERSION
        )
    tables |= {f"liar-{seed}": forged_table(seed, HEX_VERSION) for seed in range(1, 6)}
    truthful = Path(place.program("truthful")).read_bytes()
    assert truthful.count(true) == 1
    for name, table in tables.items():
        _write(place, name, truthful.replace(true, table))


def _forge(place: Place) -> None:
    """Executables whose tables are costly to read."""
    burner = Path(place.program("burner")).read_bytes()
    one = Section.symbols(symbol(1, _CODE, 1 << 20))
    notes = struct.pack("<III", 0, 0, 0) * (1 << 14)
    same_notes = [Section(kind=7, size=len(notes), at=len(burner))] * 59_998
    names = b"\0" + b"".join(b"f%07d\0" % number for number in range(MAX_SYMBOLS))
    symbols = b"".join(symbol(1 + 9 * at, _CODE + 16 * at, 16) for at in reversed(range(MAX_SYMBOLS)))
    holes = (("hole", 4 << 40, 5 << 40), ("large-hole", MAX_STRINGS_BYTES, MAX_STRINGS_BYTES + (1 << 30)))
    for name, size, file_size in holes:
        _forged(place, name, forge(one, Section.strings(b"", size=size), program=burner), size=file_size)
    _forged(place, "notes", forge(Section(kind=7, content=notes), *same_notes, program=burner))
    _forged(place, "symbols", forge(Section.symbols(symbols), Section.strings(names), program=burner))


def _forged(place: Place, name: str, forged: Forged, *, size: int = 0) -> None:
    _write(place, name, forged.content)
    if size:
        os.truncate(place.program(name), size)


def _write(place: Place, name: str, content: bytes) -> None:
    path = Path(place.program(name))
    path.write_bytes(content)
    path.chmod(0o755)
    os.chown(path, place.user, place.user)
