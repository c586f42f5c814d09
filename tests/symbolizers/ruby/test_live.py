"""Names and lines of iseqs, against what the same process says about itself."""

from __future__ import annotations

import json
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.errors import Changed, ReadFault, SymbolizeError, UnsupportedVersion
from symbolizers.frame import CodeObject, RawFrame
from symbolizers.process.maps import read_mappings
from symbolizers.ruby.language import RubyLanguage
from symbolizers.ruby.machine_code import find_loop
from tests.support.ruby_target import ISEQS, Recording, RubyTarget, find_ruby, iseq_frame, ruby_target

FILES = 60


def ruby_says(program: str) -> str:
    """What the machine's Ruby writes."""
    command = ["ruby", "-rrbconfig", "-e", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def standard_library() -> list[str]:
    """The largest files of Ruby's standard library."""
    paths = Path(ruby_says('puts RbConfig::CONFIG["rubylibdir"]')).rglob("*.rb")
    return [str(path) for path in sorted(paths, key=lambda path: path.stat().st_size)[-FILES:]]


@pytest.fixture(scope="module")
def target() -> Iterator[RubyTarget]:
    with ruby_target("ruby", ISEQS, *standard_library()) as started:
        yield started


@pytest.fixture(scope="module")
def library(target: RubyTarget) -> Path:
    """The file that holds the target's interpreter."""
    maps = Path(f"/proc/{target.handle.id.pid}/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in maps if "libruby" in line)


def test_every_iseq_is_called_as_ruby_calls_it_and_has_its_lines(target: RubyTarget) -> None:
    symbolizer = target.symbolizer(target.memory, lines=True)
    instructions = lineless = 0
    for told in map(json.loads, target.said):
        code = symbolizer.read(iseq_frame(target.runtime.row, target.memory, told["address"]))
        assert (code.name, code.file, code.first_line) == (told["label"], told["file"], told["first_line"])
        for word, size, line in told["instructions"]:
            for position in range(8 * word, 8 * (word + size), 8):
                if code.lines[bisect_right(code.starts, position) - 1]:
                    assert code.line_at(position) == line, (code, position)
                else:
                    lineless += 1  # Ruby's listing passes these over, its backtraces name the first line
                    assert code.line_at(position) == code.first_line
            instructions += 1
    assert len(target.said) > 2000
    assert instructions > 50_000
    assert lineless < instructions / 50


def test_without_lines_there_is_no_table(target: RubyTarget) -> None:
    frame = iseq_frame(target.runtime.row, target.memory, json.loads(target.said[0])["address"])
    code = target.symbolizer(target.memory).read(frame)
    assert (code.starts, code.lines) == ((), ())


def test_another_checksum_is_changed(target: RubyTarget) -> None:
    frame = iseq_frame(target.runtime.row, target.memory, json.loads(target.said[0])["address"])
    with pytest.raises(Changed):
        target.symbolizer(target.memory).read(frame._replace(checksum=frame.checksum ^ 1))


def test_what_is_no_iseq_is_changed(target: RubyTarget) -> None:
    frame = iseq_frame(target.runtime.row, target.memory, json.loads(target.said[0])["address"])
    with pytest.raises(SymbolizeError):
        target.symbolizer(target.memory).read(frame._replace(address=frame.address + 8))


def largest(target: RubyTarget) -> RawFrame:
    told = max(map(json.loads, target.said), key=lambda told: len(told["instructions"]))
    return iseq_frame(target.runtime.row, target.memory, told["address"])


@pytest.mark.parametrize("garbage", [0, 1, (1 << 64) - 1, 0x7FFF_FFFF_FFF8, 1 << 40], ids=hex)
def test_any_word_may_lie(target: RubyTarget, garbage: int) -> None:
    """Each word that is read, replaced: the answer is a value or a `SymbolizeError`, and comes soon."""
    frame = largest(target)
    recording = Recording(target.memory)
    truth = target.symbolizer(recording, lines=True).read(frame)
    lied = 0
    for address, size in list(recording.reads):
        for at in range(0, min(size, 256), 8):
            liar = Recording(target.memory, lies=replaced(address + at, garbage))
            try:
                answer = target.symbolizer(liar, lines=True).read(frame)
            except SymbolizeError:
                lied += 1
            else:
                assert isinstance(answer, CodeObject)
                assert len(answer.starts) <= len(truth.starts) + 1
    assert lied > 12


def replaced(where: int, garbage: int) -> Callable[[int, int, bytes], bytes]:
    """Answers with the word at `where` replaced by `garbage`."""

    def lie(address: int, size: int, content: bytes) -> bytes:
        at = where - address
        if not 0 <= at <= size - 8:
            return content
        return content[:at] + garbage.to_bytes(8, "little") + content[at + 8 :]

    return lie


def test_a_page_that_is_not_there_is_a_fault(target: RubyTarget) -> None:
    frame = RawFrame(2 << 56 | 0x1000, 0, 0)
    with pytest.raises(ReadFault):
        target.symbolizer(target.memory).read(frame)


def test_the_library_is_recognised(target: RubyTarget, library: Path) -> None:
    with library.open("rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        runtime = RubyLanguage().recognise(elf)
        execute = elf.symbol("rb_vm_exec")
        bounds = elf.function_starts().around(runtime.loop[0]) if runtime is not None else (0, 0)
    assert runtime is not None
    assert runtime.version == ruby_says("puts RUBY_VERSION")
    assert runtime.global_symbols
    start, end = runtime.loop
    if execute is None:  # hidden, from 3.3 on: what is found is one function, whatever it is called
        assert (start, end) == bounds
        assert 4096 < end - start < 65536
    else:
        assert end == execute.address + execute.size
        assert 4096 < execute.address - start < 65536, "the loop itself is not in what was found"
    assert find_ruby(target.handle)[0] == runtime


def test_the_loop_is_what_called_the_c_function_that_waits(target: RubyTarget) -> None:
    """The target waits in IO#read, which Ruby's instructions called: the return address is on the stack."""
    start, end = target.interpreter.loop
    call = Path(f"/proc/{target.handle.id.pid}/syscall")
    while (waits_in := call.read_text().split()) == ["running"]:
        pass
    pointer = int(waits_in[7], 16)
    (stack,) = (mapping for mapping in read_mappings(target.handle) if mapping.path == "[stack]")
    pages = [pointer, *range((pointer | 4095) + 1, stack.end, 4096), stack.end]
    parts = target.memory.read_many([(page, after - page) for page, after in pairwise(pages)])
    # Pages that were never written to hold no return address either.
    content = b"".join(part for part in parts if isinstance(part, bytes))
    assert any(start < word < end for (word,) in struct.iter_unpack("<Q", content))


def test_another_version_is_refused_with_the_supported_ones(library: Path) -> None:
    content = bytearray(library.read_bytes())
    elf = ElfFile.from_bytes(bytes(content))
    version = elf.symbol("ruby_version")
    assert version is not None
    segment = next(s for s in elf.segments if s.address <= version.address < s.address + s.file_size)
    offset = version.address - segment.address + segment.offset
    content[offset : offset + 3] = b"9.9"
    with pytest.raises(
        UnsupportedVersion, match=r"Ruby 9\.9\.\d+ is not supported \(supported: 2\.5, .*3\.4, 4\.0\)"
    ):
        RubyLanguage().recognise(ElfFile.from_bytes(bytes(content)))


def test_other_files_hold_no_ruby() -> None:
    with open("/bin/sh", "rb") as stream:
        elf = ElfFile.from_fd(stream.fileno())
        assert RubyLanguage().recognise(elf) is None
        assert find_loop(elf) == (0, 0)
