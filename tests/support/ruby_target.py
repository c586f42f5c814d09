"""A live Ruby, what the walker would capture of it, and memories that lie. For tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from symbolizers.base import AddressSpace, Interpreter
from symbolizers.checksum import checksum
from symbolizers.elf.file import ElfFile
from symbolizers.errors import SymbolizeError
from symbolizers.frame import CAPTURE_KIND_SHIFT, RawFrame
from symbolizers.layout import Row
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import read_mappings
from symbolizers.process.memory import NowaitReader
from symbolizers.ruby.iseqs import BODY_WORDS, METHOD_WORDS, RubySymbolizer
from symbolizers.ruby.kinds import RUBY_ISEQ
from symbolizers.ruby.language import RubyFile, RubyLanguage
from tests.support.reads import read_each

TESTS = Path(__file__).parent.parent
NAMES = str(TESTS / "support" / "live" / "workloads" / "names.rb")
ISEQS = str(TESTS / "interpreters" / "programs" / "iseqs.rb")


@dataclass(frozen=True)
class RubyTarget:
    """A Ruby that said ``ready``; `said` are the lines before that."""

    handle: ProcessHandle
    memory: NowaitReader
    runtime: RubyFile
    interpreter: Interpreter
    said: tuple[str, ...]
    stdin: IO[str]

    def symbolizer(self, memory: AddressSpace, *, lines: bool = False) -> RubySymbolizer:
        return self.runtime.symbolizer(self.interpreter, memory, lines=lines)


@contextmanager
def ruby_target(*command: str) -> Iterator[RubyTarget]:
    """Starts the Ruby program `command` and, at the end, ends it."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                if line == "ready\n":
                    break
                said.append(line)
            handle = open_process(process.pid, None)
            try:
                runtime, interpreter = find_ruby(handle)
                memory = NowaitReader(handle)
                yield RubyTarget(handle, memory, runtime, interpreter, tuple(said), process.stdin)
                memory.forget()
            finally:
                handle.close()
        finally:
            process.kill()


def find_ruby(handle: ProcessHandle) -> tuple[RubyFile, Interpreter]:
    """The Ruby that a process maps."""
    for mapping in read_mappings(handle):
        if mapping.executable and mapping.path.startswith("/"):
            with open(f"/proc/{handle.id.pid}/root{mapping.path}", "rb") as stream:
                elf = ElfFile.from_fd(stream.fileno())
                runtime = RubyLanguage().recognise(elf)
                if runtime is not None:
                    return runtime, runtime.attach(elf.bias(mapping.start, mapping.offset))
    raise AssertionError("the target maps no Ruby")


def words(memory: AddressSpace, address: int, count: int) -> list[int]:
    content = memory.read(address, 8 * count)
    return [int.from_bytes(content[at : at + 8], "little") for at in range(0, 8 * count, 8)]


def iseq_frame(row: Row, memory: AddressSpace, iseq: int, *, owner: int = 0) -> RawFrame:
    """What the walker captures of `iseq`, at its first instruction."""
    (body,) = words(memory, iseq + row["iseq_body"], 1)
    checked = words(memory, body, BODY_WORDS)
    if owner:
        checked += words(memory, owner + 8, METHOD_WORDS)
    return RawFrame(RUBY_ISEQ << CAPTURE_KIND_SHIFT | iseq, 0, checksum(checked), owner)


@dataclass
class Recording:
    """Passes reads on to `memory`, and remembers them. Once `lies` is set, it makes the answers."""

    memory: AddressSpace
    reads: dict[tuple[int, int], bytes] = field(default_factory=dict)
    lies: Callable[[int, int, bytes], bytes] | None = None

    def read(self, address: int, size: int) -> bytes:
        content = self.memory.read(address, size)
        self.reads[address, size] = content
        return content if self.lies is None else self.lies(address, size, content)

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | SymbolizeError]:
        return read_each(self.read, ranges)
