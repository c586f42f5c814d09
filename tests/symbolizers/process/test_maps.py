"""Mappings: the format, and live against a process that knows its own."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from symbolizers.errors import Malformed, ProcessGone
from symbolizers.process.identity import open_process
from symbolizers.process.maps import Mapping, parse_mappings, read_mappings
from tests.support.process.targets import FIXED, NOBODY, PAGE, Target, in_time, running

TEXT = rb"""00400000-0041f000 r--p 00000000 fe:00 260811                             /usr/bin/python3.11
0041f000-00696000 r-xp 0001f000 fe:00 260811                             /usr/bin/python3.11
7f0000000000-7f0000001000 rwxs 00000000 00:01 12                         /memfd:jit code (deleted)
7f0000001000-7f0000002000 ---p 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 100000000 103:fffff 18446744073709551615   /a b\012c/ (deleted) x
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_format() -> None:
    mappings = parse_mappings(TEXT)
    assert [mapping.path for mapping in mappings] == [
        "/usr/bin/python3.11",
        "/usr/bin/python3.11",
        "/memfd:jit code",
        "",
        "/a b\nc/ (deleted) x",
        "[stack]",
        "[vsyscall]",
    ]
    assert mappings[1] == Mapping(
        0x41F000, 0x696000, True, False, True, 0x1F000, (0xFE, 0), 260811, "/usr/bin/python3.11"
    )
    assert [mapping.deleted for mapping in mappings] == [False, False, True, False, False, False, False]
    assert (mappings[3].readable, mappings[3].writable, mappings[3].executable) == (False, False, False)
    assert (mappings[4].offset, mappings[4].device) == (1 << 32, (0x103, 0xFFFFF))
    assert mappings[4].inode == (1 << 64) - 1


def test_executable_only() -> None:
    executable = parse_mappings(TEXT, executable_only=True)
    assert executable == tuple(mapping for mapping in parse_mappings(TEXT) if mapping.executable)
    assert len(executable) == 4


def test_nothing() -> None:
    assert parse_mappings(b"") == ()


def test_undecodable_name_survives() -> None:
    line = b"1000-2000 r-xp 00000000 fe:00 1                          /\xff\xfe\r\x1b[31m;\n"
    (mapping,) = parse_mappings(line)
    assert os.fsencode(mapping.path) == b"/\xff\xfe\r\x1b[31m;"


@pytest.mark.parametrize(
    "line", [b"x", b"1000-2000 r-xp 0 fe:00", b"zz-2000 r-xp 0 fe:00 1 /a", b"1000 r-xp 0 0 1"]
)
def test_text_that_is_not_of_maps(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_mappings(line + b"\n")


def test_live(memory: Target, pages_file: Path) -> None:
    with open_process(memory.pid) as handle:
        mappings = in_time(lambda: read_mappings(handle))
    assert list(mappings) == sorted(mappings, key=lambda mapping: mapping.start)
    (resident,) = (mapping for mapping in mappings if mapping.start == FIXED)
    assert (resident.end, resident.inode, resident.executable) == (FIXED + 4 * PAGE, 0, False)
    (file,) = (mapping for mapping in mappings if mapping.start == memory["file_mapped"])
    assert file.path == str(pages_file)
    assert file.inode == pages_file.stat().st_ino


def test_more_than_one_chunk_of_text() -> None:
    with mmap.mmap(-1, 4000 * PAGE) as region, open_process(os.getpid()) as handle:
        # Every other page private to a mapping of its own.
        before = len(read_mappings(handle))
        for page in range(0, 4000, 2):
            region.madvise(mmap.MADV_DONTFORK, page * PAGE, PAGE)
        assert len(read_mappings(handle)) >= before + 3998


@pytest.mark.root
def test_gone() -> None:
    with running("userfault") as target:
        handle = open_process(target.pid)
    with pytest.raises(ProcessGone):
        read_mappings(handle)
    handle.close()


def test_leader_exited() -> None:
    with running("headless") as target, open_process(target.pid) as handle:
        assert in_time(lambda: read_mappings(handle)) == ()


def test_unprivileged(memory: Target) -> None:
    with open_process(memory.pid) as handle, pytest.raises(PermissionError):
        in_time(lambda: read_mappings(handle), as_user=NOBODY)
