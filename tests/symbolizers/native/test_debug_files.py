"""Debug files of stripped ones: where they are looked for, and which one counts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.native import debug_files
from symbolizers.native.debug_files import find_debug_file
from symbolizers.native.symbols import NativeSymbols
from tests.support.file_keys import own_descriptors

SOURCE = """\
static __attribute__((noinline)) int hidden(int x) { return x * 3; }
int main(int c, char **v) { return hidden(c); }
"""


class Stripped:
    """A program without symbols, and the file that has them."""

    def __init__(self, folder: Path) -> None:
        self.program, self.debug = folder / "program", folder / "program.debug"
        source = folder / "program.c"
        source.write_text(SOURCE)
        subprocess.run(["gcc", "-O1", "-Wl,--build-id", str(source), "-o", str(self.program)], check=True)
        subprocess.run(["objcopy", "--only-keep-debug", str(self.program), str(self.debug)], check=True)
        nm = subprocess.run(["nm", str(self.program)], check=True, capture_output=True, text=True).stdout
        self.hidden = int(next(line.split()[0] for line in nm.splitlines() if line.endswith(" hidden")), 16)
        link = f"--add-gnu-debuglink={self.debug}"
        subprocess.run(["objcopy", "--strip-all", link, str(self.program)], check=True)

    def name(self, mapped_by: int | None = None) -> str:
        with self.program.open("rb") as stream:
            elf = ElfFile.from_fd(stream.fileno())
            found = find_debug_file(elf, str(self.program), os.getuid(), mapped_by)
            name = NativeSymbols(elf, "program", found and found.elf).find(self.hidden)[0].name
            if found is not None:
                found.close()
        return name


@pytest.fixture
def stripped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stripped:
    monkeypatch.setattr(debug_files, "_ROOT", str(tmp_path / "debug"))
    return Stripped(tmp_path)


def by_build_id(stripped: Stripped) -> Path:
    with stripped.program.open("rb") as stream:
        name = ElfFile.from_fd(stream.fileno()).build_id.hex()
    place = Path(debug_files._ROOT) / ".build-id" / name[:2] / f"{name[2:]}.debug"
    place.parent.mkdir(parents=True)
    return place


def test_it_is_found_by_its_build_id(stripped: Stripped) -> None:
    assert stripped.name().startswith("[program+0x")
    shutil.move(stripped.debug, by_build_id(stripped))
    before = own_descriptors()
    assert stripped.name() == "hidden"
    assert own_descriptors() == before


def test_it_is_found_by_the_debug_link(stripped: Stripped) -> None:
    assert stripped.name(os.getpid()) == "hidden"
    place = stripped.program.parent / ".debug" / stripped.debug.name
    place.parent.mkdir()
    shutil.move(stripped.debug, place)
    assert stripped.name(os.getpid()) == "hidden"
    moved = Path(f"{debug_files._ROOT}{stripped.program.parent}") / stripped.debug.name
    moved.parent.mkdir(parents=True)
    shutil.move(place, moved)
    assert stripped.name() == "hidden"


def test_that_of_another_build_does_not_count(stripped: Stripped) -> None:
    shutil.copy("/bin/true", stripped.debug)
    assert stripped.name(os.getpid()).startswith("[program+0x")
    shutil.copy("/bin/true", by_build_id(stripped))
    before = own_descriptors()
    assert stripped.name().startswith("[program+0x")
    assert own_descriptors() == before


def test_that_of_another_user_does_not_count(stripped: Stripped) -> None:
    os.chown(stripped.debug, 12345, 12345)
    assert stripped.name(os.getpid()).startswith("[program+0x")


@pytest.mark.parametrize("content", [b"", b"no ELF file", None])
def test_what_is_no_such_file_says_nothing(stripped: Stripped, content: bytes | None) -> None:
    stripped.debug.unlink()
    if content is None:
        os.mkfifo(stripped.debug)
    else:
        stripped.debug.write_bytes(content)
    assert stripped.name(os.getpid()).startswith("[program+0x")
