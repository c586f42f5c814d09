"""Offsets out of the kernel's own type information, and what happens where it is missing or cut."""

from __future__ import annotations

import ctypes
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.capture.btf import VMLINUX, Btf
from profiler.errors import PrerequisiteError

WANTED = [
    ("task_struct", "group_leader", 8),
    ("task_struct", "start_boottime", 8),
    ("task_struct", "comm", 1),
    ("task_struct", "pid", 4),
    ("task_struct", "tgid", 4),
    ("task_struct", "signal", 8),
    ("task_struct", "thread", 8),
    ("signal_struct", "live", 4),
    ("thread_struct", "fsbase", 8),
]


class BtfBuilder:
    """A BTF blob in the making: struct types and their strings."""

    def __init__(self) -> None:
        self._strings = b"\0"
        self._types = b""

    def name(self, text: str) -> int:
        """The string's offset; each string is there once, as the kernel's build has it."""
        string = b"\0" + text.encode() + b"\0"
        if string not in self._strings:
            self._strings += string[1:]
        return self._strings.index(string) + 1

    def struct_type(self, name: str, members: dict[str, int], *, kind_flag: bool = False) -> None:
        """`members`: name to offset in bits."""
        info = kind_flag << 31 | 4 << 24 | len(members)
        self._types += struct.pack("<III", self.name(name), info, 64)
        for member, offset_bits in members.items():
            self._types += struct.pack("<III", self.name(member), 1, offset_bits)

    def integer_type(self, name: str) -> None:
        self._types += struct.pack("<IIII", self.name(name), 1 << 24, 4, 32)

    def blob(self) -> bytes:
        sections = (0, len(self._types), len(self._types), len(self._strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sections) + self._types + self._strings


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "btf"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def running_kernel() -> Btf:
    return Btf()


@pytest.mark.parametrize(("structure", "member", "alignment"), WANTED)
def test_this_kernel_describes_what_the_sampler_reads(
    running_kernel: Btf, structure: str, member: str, alignment: int
) -> None:
    offset = running_kernel.offset(structure, member)
    assert 0 < offset < 16384
    assert offset % alignment == 0


def test_pid_and_tgid_are_neighbours(running_kernel: Btf) -> None:
    assert running_kernel.offset("task_struct", "tgid") == running_kernel.offset("task_struct", "pid") + 4


def test_a_structure_of_the_user_api_has_the_offsets_that_the_compiler_knows(running_kernel: Btf) -> None:
    """struct iovec: a pointer, then a size; the kernel's is the one that ctypes would lay out."""
    assert running_kernel.offset("iovec", "iov_base") == 0
    assert running_kernel.offset("iovec", "iov_len") == ctypes.sizeof(ctypes.c_void_p)


@pytest.mark.parametrize(
    ("structure", "member"), [("task_struct", "no_such_member"), ("no_such_structure", "comm"), ("", "x")]
)
def test_what_the_kernel_does_not_have_is_a_prerequisite(
    running_kernel: Btf, structure: str, member: str
) -> None:
    with pytest.raises(PrerequisiteError, match=member):
        running_kernel.offset(structure, member)


def test_a_member_is_found_in_the_structure_asked_for(tmp_path: Path) -> None:
    builder = BtfBuilder()
    builder.integer_type("second")
    builder.struct_type("first", {"a": 64, "b": 128})
    builder.struct_type("second", {"b": 192})
    btf = Btf(write(tmp_path, builder.blob()))
    assert [btf.offset("first", "b"), btf.offset("second", "b"), btf.offset("first", "a")] == [16, 24, 8]
    with pytest.raises(PrerequisiteError):
        btf.offset("second", "a")


def test_the_size_of_a_bit_field_is_no_part_of_the_offset(tmp_path: Path) -> None:
    builder = BtfBuilder()
    builder.struct_type("flags", {"bits": 3 << 24 | 96}, kind_flag=True)
    assert Btf(write(tmp_path, builder.blob())).offset("flags", "bits") == 12


@pytest.mark.parametrize("content", [b"", b"\x9f\xeb", b"\xeb\x9f" + bytes(40), b"no BTF"])
def test_a_file_of_another_format_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="not little-endian BTF"):
        Btf(write(tmp_path, content))


def test_no_file_at_all_says_which_kernels_have_it(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="CONFIG_DEBUG_INFO_BTF"):
        Btf(tmp_path / "missing")


def good_blob() -> bytes:
    builder = BtfBuilder()
    builder.struct_type("task_struct", {"comm": 640, "pid": 64})
    return builder.blob()


@given(st.data())
@settings(deadline=None)
def test_a_blob_cut_or_changed_anywhere_gives_an_offset_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    blob = bytearray(good_blob())
    for _ in range(data.draw(st.integers(0, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    blob = blob[: data.draw(st.integers(0, len(blob)))]
    path = write(tmp_path_factory.getbasetemp(), bytes(blob))
    with suppress(PrerequisiteError):
        assert Btf(path).offset("task_struct", "comm") >= 0


def test_the_running_kernel_is_where_btf_is_looked_for() -> None:
    assert Path("/sys/kernel/btf/vmlinux") == VMLINUX
