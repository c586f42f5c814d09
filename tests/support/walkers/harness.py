"""Runs the sampler's own C, walkers and all, over fake memory, in a program that the sanitizers watch.

gcc compiles the text that BCC would get, against `kernel.h`, which stands in for BCC and the kernel. Every
language that the registry finds is in that text.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from msgspec import Struct, field
from msgspec.structs import replace

from profiler.capture.header import BPF_DIRECTORY, read_header
from profiler.capture.program import namer_name, program_text, walker_name
from profiler.capture.records import CodeName, RawSample, StackCopy
from profiler.capture.wire import decode
from symbolizers.frame import RawFrame
from symbolizers.inspection import CHUNK_BYTES
from symbolizers.registry import LANGUAGES
from symbolizers.taken import TakenName

PAGE_BYTES = 4096
REGISTERS = 21
"""The words of ``struct pt_regs``."""
R15, RBP, RIP, RSP = 0, 4, 16, 19
"""Which words of ``struct pt_regs`` these registers are."""
SANITIZERS = (
    *("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"),
    # The machines that the walkers run on read words from any address.
    *("-fno-sanitize-recover=all", "-fno-sanitize=alignment"),
)
COVERAGE = ("-O0", "--coverage")

_HERE = Path(__file__).parent
_PROGRAMS = {language.name: number for number, language in enumerate(LANGUAGES)}
_RECORDS = read_header("records.h")
_WALKER = _RECORDS.structs["walker"]
_FRAME = _RECORDS.structs["interpreter_frame"].layout
_MAX_WALKERS = _RECORDS.defines["MAX_WALKERS"]
_LAYOUT_BYTES = 512
_REQUEST = struct.Struct(f"<Q{REGISTERS}Q14I")
_ANSWER = struct.Struct("<4IQ2I")
_UNWOUND, _LACKS_TABLE = 1, 2
"""Flags, as in harness.c."""
_SIZE = struct.Struct("<I")
_READ = struct.Struct("<Q2I")


def registers_on(stack: int, *, rip: int = 0, r15: int = 0) -> tuple[int, ...]:
    """Of user code with a frame pointer whose stack ends at `stack`; what is not said is 0."""
    words = {R15: r15, RBP: stack + 0x100, RIP: rip, 17: 0x33, RSP: stack, 20: 0x2B}
    return tuple(words.get(number, 0) for number in range(REGISTERS))


def frame_pointers(count: int) -> tuple[dict[int, bytes], tuple[int, ...]]:
    """A stack of so many frames, each with a frame pointer, and the registers of the leaf."""
    start, code = 0x7FFF_1000_0000, 0x2000
    size = -(-16 * count // PAGE_BYTES) * PAGE_BYTES
    callers = [*range(start + 16, start + 16 * count, 16), 0]
    content = b"".join(struct.pack("<2Q", caller, code) for caller in callers).ljust(size, b"\0")
    registers = list(registers_on(start, rip=code))
    registers[RBP] = start
    return {start + at: content[at : at + PAGE_BYTES] for at in range(0, size, PAGE_BYTES)}, tuple(registers)


USER_REGISTERS = registers_on(0x7FFF_0000_0000)


class HarnessError(AssertionError):
    """The program ended by itself: a sanitizer, or one of its own rules, was not content. Says which."""


class Walker(Struct, frozen=True):
    """One interpreter in an image: its language, the address where the walk starts, and its packed layout."""

    language: str
    root: int
    layout: bytes
    loops: Mapping[str, int] = field(default_factory=dict)
    """Where its evaluation loop is, by the fields of ``struct walker``."""

    @classmethod
    def of(cls, language: str, root: int, offsets: Mapping[str, int]) -> Walker:
        """With the layout of these numbers by name. Raises KeyError for a field of the layout without one."""
        layout = read_header(f"{language}_layout.h").structs[f"{language}_layout"]
        return cls(language, root, layout.pack(offsets))


class Image(Struct, frozen=True):
    """What a thread is interrupted with: resident pages by address, its registers, and what is to be walked.

    `registers` are the words of ``struct pt_regs`` of its user code; `walkers` are leaf first. If it was
    interrupted in the kernel, these registers lie `stack_gap` bytes before the end of its kernel stack.
    """

    pages: Mapping[int, bytes | bytearray]
    walkers: tuple[Walker, ...]
    thread_pointer: int
    registers: tuple[int, ...] = USER_REGISTERS
    in_kernel: bool = True
    stack_gap: int = 0


class Read(Struct, frozen=True):
    """One read of user memory, in bytes, and whether it met a page that is not resident."""

    address: int
    size: int
    fault: bool


class Walk(Struct, frozen=True):
    """One sample and what it took: reads of user memory, their bytes, and tail calls.

    Its frames lack what `entered` says of each (`RawFrame.is_entered`): positions are numbers of 32 bits.
    `names` are those that were taken, if they were asked for: no code object was seen before.
    `trace` has every read in order, if it was asked for.
    """

    sample: RawSample
    entered: tuple[bool, ...]
    names: tuple[TakenName, ...]
    reads: int
    read_bytes: int
    tail_calls: int
    trace: tuple[Read, ...] = ()

    def words(self) -> list[int]:
        """The addresses of the words that were read, in order of address."""
        read = [each for each in self.trace if not each.fault]
        found = {each.address + at & ~7 for each in read for at in range(0, each.size, 8)}
        return sorted(found)


def word_at(image: Image, address: int) -> int:
    """The word at an aligned address. Raises KeyError outside the image's pages."""
    (word,) = struct.unpack_from("<Q", image.pages[address & -PAGE_BYTES], address & (PAGE_BYTES - 1))
    return int(word)


def build(directory: Path, options: Sequence[str] = SANITIZERS, *, text: bytes | None = None) -> Path:
    """The program ``harness`` in `directory`, made by gcc with `options`: of the sampler, or of `text`."""
    (directory / "program_text.h").write_bytes(program_text(LANGUAGES) if text is None else text)
    walkers, namers = ([name(each.name) for each in LANGUAGES] for name in (walker_name, namer_name))
    programs = ",".join([*walkers, "on_record", "on_fresh", "on_count", "on_unwind", "on_copy", *namers])
    defines = (f"-DLANGUAGES={len(LANGUAGES)}", f"-DWALKER_PROGRAMS={programs}")
    includes = (f"-I{BPF_DIRECTORY}", f"-I{directory}")
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
    program = directory / "harness"
    source = str(_HERE / "harness.c")
    command = ("gcc", "-std=gnu11", *options, *warnings, *includes, *defines, source, "-o", str(program))
    built = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    assert built.returncode == 0, built.stderr
    return program


def _names(content: bytes) -> Iterator[TakenName]:
    at = 0
    while at < len(content):
        (size,) = _SIZE.unpack_from(content, at)
        at += _SIZE.size + size
        record = decode(content[at - size : at])
        assert isinstance(record, CodeName)
        yield record.name


@contextmanager
def running(program: Path) -> Iterator[Harness]:
    """The built program until the end of the block. Raises `HarnessError` if it does not end well."""
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    pipe = subprocess.PIPE
    with (
        TemporaryFile() as said,
        subprocess.Popen([program], stdin=pipe, stdout=pipe, stderr=said, env=environment) as process,
    ):
        try:
            harness = Harness(process, said)
            yield harness
            harness.end()
        finally:
            process.kill()


class Harness:
    """The running program. It keeps the image that it was given last."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._requests, self._answers = process.stdin, process.stdout
        self._said = said
        self._image: Image | None = None
        self._rows: dict[bytes, int] = {}

    def walk(
        self,
        image: Image,
        changes: Mapping[int, int] | None = None,
        *,
        fails_at: int = 0,
        twice: bool = True,
        traced: bool = False,
        named: bool = False,
        frames: Sequence[RawFrame] = (),
        unwound: bool = False,
        table: bytes = b"",
        lacks_table: bool = False,
    ) -> Walk:
        """One sample of `image`, the words at the addresses in `changes` replaced meanwhile.

        With `named`, its code is named, too; `frames` take the place of what is walked. The read of the
        number `fails_at`, counted from 1, faults whatever is there; 0 for none. If it is `unwound`, the
        native stack is followed, too: by the unwind `table` of all code (`make_chunks`) or frame pointers.
        With `lacks_table`, that table is not there yet, and the sample has a copy of its stack.
        With `twice`, what earlier samples left in the scratch must make no difference. Raises `HarnessError`,
        after which there is no program any more; KeyError for a change outside the pages.
        """
        words = dict(changes or {})
        for address in words:
            image.pages[address & -PAGE_BYTES]
        chunks = len(table) // CHUNK_BYTES
        follows = _UNWOUND | _LACKS_TABLE if lacks_table else unwound * _UNWOUND
        place = image.in_kernel, image.stack_gap, named, len(frames), 0, follows, chunks
        self._request(image, words, (traced, fails_at, twice, *place), frames, table)
        return self._answer(traced)

    def count(
        self,
        image: Image,
        frames: Sequence[RawFrame],
        *,
        by_lines: bool = False,
        by_instructions: bool = False,
        unwound: bool = False,
        table: bytes = b"",
        lacks_table: bool = False,
    ) -> bytes:
        """The record of a sample with these `frames`: a short one, if its stack was counted before.

        `unwound`, `table` and `lacks_table` as in `walk`.
        """
        chunks = len(table) // CHUNK_BYTES
        counted = 1 + 2 * by_lines + 4 * by_instructions  # as in harness.c
        follows = _UNWOUND | _LACKS_TABLE if lacks_table else unwound * _UNWOUND
        place = image.in_kernel, image.stack_gap, False, len(frames), counted, follows, chunks
        self._request(image, {}, (False, 0, False, *place), frames, table)
        size, *_, copy_bytes = _ANSWER.unpack(self._take(_ANSWER.size))
        record = self._take(size)
        self._take(copy_bytes)
        return record

    def _request(
        self,
        image: Image,
        words: Mapping[int, int],
        wishes: Sequence[int],
        frames: Sequence[RawFrame],
        table: bytes = b"",
    ) -> None:
        """Sends it; `wishes` are the last fields of ``struct request``."""
        pages = {} if image is self._image else image.pages
        rows = self._new_rows(image)
        parts = list(self._walkers(image))
        counts = (image is not self._image, len(pages), len(rows), len(words))
        parts.append(_REQUEST.pack(image.thread_pointer, *image.registers, *counts, *wishes))
        parts += (address.to_bytes(8, "little") + bytes(content) for address, content in pages.items())
        parts += (self._rows[row].to_bytes(8, "little") + row for row in rows)
        parts.append(table)
        parts += (_FRAME.pack(*frame) for frame in frames)
        parts += (struct.pack("<2Q", address, word) for address, word in words.items())
        self._image = image
        try:
            self._requests.write(b"".join(parts))
            self._requests.flush()
        except BrokenPipeError:
            raise self._error() from None

    def end(self) -> None:
        """Lets the program end by itself, which writes its coverage. Raises `HarnessError`."""
        self._requests.close()
        if self._process.wait():
            raise self._error()

    def _new_rows(self, image: Image) -> list[bytes]:
        """The layouts that the program does not know yet, each with a place in `_rows` from now on."""
        wanted = {walker.layout.ljust(_LAYOUT_BYTES, b"\0") for walker in image.walkers}
        new = [row for row in wanted if row not in self._rows]
        if len(self._rows) + len(new) > 255:
            self._rows.clear()
            new = list(wanted)
        for row in new:
            self._rows[row] = len(self._rows) + 1
        return new

    def _walkers(self, image: Image) -> Iterator[bytes]:
        for walker in image.walkers:
            row = self._rows[walker.layout.ljust(_LAYOUT_BYTES, b"\0")]
            place = {"root": walker.root, "row": row, "program": _PROGRAMS[walker.language]}
            yield _WALKER.pack(dict.fromkeys(_WALKER.fields, 0) | walker.loops | place)
        yield bytes((_MAX_WALKERS - len(image.walkers)) * _WALKER.layout.size)

    def _answer(self, traced: bool) -> Walk:
        answer = _ANSWER.unpack(self._take(_ANSWER.size))
        record_bytes, reads, tail_calls, records, read_bytes, name_bytes, copy_bytes = answer
        assert records == 1, f"{records} records of one sample"
        captured = decode(self._take(record_bytes))
        assert isinstance(captured, RawSample)
        plain = (each._replace(position=each.distance & 0xFFFF_FFFF) for each in captured.interpreter)
        sample = replace(captured, interpreter=tuple(plain))
        entered = tuple(each.is_entered for each in captured.interpreter)
        names = tuple(_names(self._take(name_bytes)))
        if copy_bytes:
            copy = decode(self._take(copy_bytes))
            assert isinstance(copy, StackCopy)
            sample = replace(sample, copy=copy)
        trace = _READ.iter_unpack(self._take(reads * _READ.size)) if traced else ()
        found = tuple(Read(address, size, bool(fault)) for address, size, fault in trace)
        return Walk(sample, entered, names, reads, read_bytes, tail_calls, found)

    def _take(self, size: int) -> bytes:
        content = self._answers.read(size)
        if len(content) < size:
            raise self._error()
        return content

    def _error(self) -> HarnessError:
        status = self._process.wait()
        self._said.seek(0)
        return HarnessError(f"status {status}: {self._said.read().decode(errors='replace')}")
