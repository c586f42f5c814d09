"""What the kernel says of targets, and what the worker says: texts, records, streams and answers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from profiler.capture.btf import Btf
from profiler.capture.mapping_events import MappingEvents
from profiler.capture.perf_ring import PerfRing
from profiler.capture.records import CodeMapped, CodeName, ProcessEvent
from profiler.capture.wire import WireError, decode
from profiler.errors import PrerequisiteError
from profiler.profile.short_names import short_name
from symbolizers.errors import Reason
from symbolizers.frame import RawFrame
from symbolizers.native.generated import readable
from symbolizers.native.perf_map import PerfMap
from symbolizers.native.unnamed import mapping_frame
from symbolizers.process.containers import container_of
from symbolizers.process.identity import ProcessId, start_ticks_in
from symbolizers.process.maps import parse_mappings
from symbolizers.process.messages import MAX_MESSAGE_BYTES, BrokenStream, MessageStream
from symbolizers.process.pagemap import Residency
from symbolizers.questions import Codes, NotUnderstood, decode_answer, decode_question, encode
from symbolizers.registry import LANGUAGES
from symbolizers.taken import TakenName
from tests.fuzz.target import Target
from tests.profiler.capture.test_btf import WANTED, BtfBuilder
from tests.profiler.capture.test_wire import HEADER, encoded
from tests.support.samples import raw_sample
from tests.symbolizers.process.test_containers import PATHS
from tests.symbolizers.process.test_maps import TEXT
from tests.symbolizers.test_questions import CONVERSATIONS

_STAT: Final = b" S 1 7 7 0 -1 4194304 101 0 0 0 0 1 0 0 20 0 3 0 4242 10000 250 18446744073709551615 1 1\n"
_MMAP2: Final = struct.Struct("=IIQQQIIQQII")
_END: Final = struct.Struct("=Q")
_QUESTIONS: Final = tuple(question for question, _ in CONVERSATIONS)


class _Told(Residency):
    """Present pages as the pagemap says that is `entries`."""

    def __init__(self, entries: bytes) -> None:
        super().__init__(1)
        self._entries = entries

    def _pread(self, size_bytes: int, offset: int) -> bytes:
        return self._entries[offset : offset + size_bytes]


def _run_perf_map(data: bytes) -> None:
    """Whatever a runtime writes, in two goes: what is found lies around the address and can be shown."""
    with NamedTemporaryFile() as file:
        found = PerfMap(file.fileno())
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            file.write(part)
            file.flush()
            found.read_on()
        for address in (0, 0x1000, 0x1008, 0x2001, (1 << 64) - 1):
            function = found.find(address)
            if function is not None:
                assert function.start <= address
                frame = readable(function.name)
                assert short_name(frame.name) or not frame.name
                assert len(function.name) <= 1024


def _run_cgroups(data: bytes) -> None:
    """Whatever a cgroup is called, the name of its container is short."""
    assert len(container_of(data)) <= 5 * 64


def _run_pagemap(data: bytes) -> None:
    """The gate is the same as to look at one entry after the other; what is cut off is not present."""
    entries = data[2:]
    first, count = data[0] if data else 0, data[1] if len(data) > 1 else 0
    told = _Told(entries)
    told.look_ahead([(first, first + count // 2)])
    pages = range(first, first + count + 1)
    missing = [page for page in pages if not entries[8 * page + 7 : 8 * page + 8].rjust(1, b"\0")[0] & 0x80]
    assert told.first_missing(pages[0], pages[-1]) == (missing[0] if missing else None)


def _run_maps(data: bytes) -> None:
    for executable_only in (False, True):
        for mapping in parse_mappings(data, executable_only=executable_only):
            mapping_frame(mapping.path, mapping.offset)


def _run_stat(data: bytes) -> None:
    """A command name is up to 63 bytes of the process's choice (of a kernel thread's, beyond 15)."""
    assert start_ticks_in(b"7 (" + data[:63].replace(b"\0", b"?") + b")" + _STAT) == 4242


class _ToldOf(PerfRing):
    """A ring with these records in it."""

    def __init__(self, *records: tuple[int, int, bytes]) -> None:
        self._records = records

    def drain(self) -> Iterator[tuple[int, int, bytes]]:
        yield from self._records


def _run_mapping_events(data: bytes) -> None:
    """A mapping with a name that the target chose, after the exec that it must have been seen at."""
    numbers, name = data[:40].ljust(40, b"\0"), data[40:4136].partition(b"\0")[0]
    start, size, offset, inode, ids = struct.unpack("=QQQQQ", numbers)
    fields = (start, size % (1 << 56), offset, ids & 0xFFF, ids >> 12 & 0xFFFFF, inode, 0, 5, 2)
    body = _MMAP2.pack(7, 7, *fields) + name + bytes(8 - len(name) % 8) + _END.pack(9)
    exec_ = struct.pack("=II", 7, 7) + data[:15].ljust(16, b"\0") + _END.pack(8)
    ring = _ToldOf((3, 1 << 13, exec_), (10, 2, body))
    begun, mapped = MappingEvents(())._told(ring)
    assert isinstance(begun, CodeMapped)
    assert isinstance(mapped, CodeMapped)
    assert begun.mapping is None
    assert mapped.mapping is not None
    assert os.fsencode(mapped.mapping.path) in (name, b"")
    mapping_frame(mapped.mapping.path, mapped.mapping.offset)


def _run_wire(data: bytes) -> None:
    record = decode(data)
    if isinstance(record, CodeName):
        for language in LANGUAGES:
            language.name_code(record.name)


def _records() -> list[bytes]:
    frames = tuple(RawFrame(1 << 56 | n, n, n, n) for n in range(5))
    texts = (b"f", b"K\xff", b"/srv/app.py", None)[: HEADER.defines["MAX_TEXTS"]]
    name = TakenName(4 << 56 | 8, 1, 7, 3, texts + (b"",) * (HEADER.defines["MAX_TEXTS"] - len(texts)))
    process = ProcessId(7, 100)
    return [
        encoded(raw_sample(interpreter=frames, user=(1, 2, 3), kernel=(1 << 63,))),
        encoded(CodeName(process, process.start_ns(), name, process)),
        encoded(ProcessEvent(process, 5, process.start_ns(), True)),
    ]


def _run_btf(data: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        btf = Btf(Path(file.name))
        for structure, member, _ in WANTED:
            with suppress(PrerequisiteError):
                assert 0 <= btf.offset(structure, member) < 1 << 24


def _blobs() -> list[bytes]:
    builder = BtfBuilder()
    for structure, member, _ in WANTED:
        builder.integer_type("int")
        builder.struct_type(structure, {"first": 0, member: 64 << 4})
    return [builder.blob()]


def _run_messages(data: bytes) -> None:
    """Pieces of a stream, which then ends. What comes out is what was sent, as far as it is whole."""
    ours, theirs = socket.socketpair()
    piece = 1 + 37 * data[0] if data else 1
    with closing(ours), closing(theirs):
        stream, found = MessageStream(ours), []
        for at in range(1, len(data), piece):
            theirs.sendall(data[at : at + piece])
            found += stream.receive()
        theirs.close()
        with suppress(BrokenStream):
            found += stream.receive()
            raise AssertionError("the end of a stream was not told")
    assert data[1:].startswith(b"".join(len(each).to_bytes(4, "little") + each for each in found))


def _streams() -> list[bytes]:
    messages = [b"ready", b"", b'["Forgotten"]' * 9]
    whole = b"".join(len(each).to_bytes(4, "little") + each for each in messages)
    longest = MAX_MESSAGE_BYTES.to_bytes(4, "little")
    return [bytes([size]) + whole + end for size in (0, 1, 255) for end in (b"", longest, longest + b"abc")]


def _run_answers(data: bytes) -> None:
    """Any answer to any question; what is understood can be said again."""
    question = _QUESTIONS[data[0] % len(_QUESTIONS)] if data else _QUESTIONS[0]
    answer = decode_answer(data[1:], question)
    assert decode_answer(encode(answer), question) == answer
    if isinstance(answer, Codes):
        for code in answer.found:
            assert isinstance(code, Reason) or isinstance(code.line_at(2), int)


def _run_questions(data: bytes) -> None:
    question = decode_question(data)
    hash(question.lane())
    assert decode_question(encode(question)) == question


def _answers() -> list[bytes]:
    return [bytes([number]) + encode(answer) for number, (_, answer) in enumerate(CONVERSATIONS)]


TARGETS: Final = (
    Target("maps", lambda: [TEXT, *TEXT.splitlines()], _run_maps),
    Target(
        "perf_map",
        lambda: [b"1000 10 JS:*f /srv/x.js:1:2\n1008 4 py::C.g:/x.py\n", b"2000 8 a<b>(c)\n1000 1000 old\n"],
        _run_perf_map,
    ),
    Target("cgroups", lambda: [f"0::{each}".encode() for each in PATHS], _run_cgroups),
    Target("pagemap", lambda: [b"\0\x40" + b"\xff" * 400, b"\5\x20" + bytes(399)], _run_pagemap),
    Target("stat", lambda: [b"bash", b"a) R 1 (b", b") S 1 1 1 1 1 1 1 1 1 1 1"], _run_stat, most_bytes=63),
    Target(
        "mapping_events",
        lambda: [b"", struct.pack("=QQQQQ", 1 << 47, 4096, 0, 5, 8) + b"/usr/lib/x \xff\n(deleted)"],
        _run_mapping_events,
    ),
    Target("wire", _records, _run_wire, allowed=(WireError,)),
    Target("btf", _blobs, _run_btf, allowed=(PrerequisiteError,)),
    Target("messages", _streams, _run_messages, allowed=(BrokenStream,)),
    Target("answers", _answers, _run_answers, allowed=(NotUnderstood,)),
    Target(
        "questions", lambda: [encode(each) for each in _QUESTIONS], _run_questions, allowed=(NotUnderstood,)
    ),
)
