"""What the kernel answers to libbpf's calls."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import closing

import pytest

from profiler.capture import libbpf
from profiler.capture.compiled import MapShape
from profiler.capture.libbpf import PERF_EVENT, Map, library, load_program
from profiler.errors import PrerequisiteError

HASH, PERCPU_ARRAY = 1, 6
RETURN_0 = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
RETURN_NOTHING = struct.pack("<BBhi", 0x95, 0, 0, 0)


@pytest.mark.live
def test_a_hash_holds_what_is_put_in() -> None:
    with closing(Map("targets", MapShape(HASH, 4, 4, 2, 0))) as targets:
        assert targets.is_empty()
        targets[b"one "] = b"aaaa"
        targets[b"two "] = b"bbbb"
        assert not targets.is_empty()
        with pytest.raises(OSError, match="Argument list too long"):
            targets[b"more"] = b"cccc"
        for key in (b"one ", b"two ", b"two "):
            targets.discard(key)
        assert targets.is_empty()


@pytest.mark.live
def test_numbers_of_all_cpus_are_added() -> None:
    cpus: int = library().libbpf_num_possible_cpus()
    with closing(Map("lost", MapShape(PERCPU_ARRAY, 4, 8, 2, 0))) as lost:
        values = (ctypes.c_uint64 * cpus)(*range(1 << 40, (1 << 40) + cpus))
        assert library().bpf_map_update_elem(lost.fd, bytes(4), values, ctypes.c_uint64(0)) == 0
        assert lost.sum(bytes(4)) == sum(values)
        assert lost.sum(b"\1\0\0\0") == 0
        with pytest.raises(FileNotFoundError):
            lost.sum(b"\2\0\0\0")


@pytest.mark.live
def test_what_the_kernel_refuses_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        Map("nonsense", MapShape(4095, 4, 4, 1, 0))
    with pytest.raises(OSError, match="R0 !read_ok") as refused:
        load_program(PERF_EVENT, "nothing", RETURN_NOTHING)
    assert refused.value.errno == errno.EACCES
    os.close(load_program(PERF_EVENT, "a_name_that_is_far_too_long", RETURN_0))
    assert capfd.readouterr() == ("", "")


def test_a_machine_without_the_library_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libbpf, "_LIBRARY", "libbpf.so.99")
    library.cache_clear()
    with pytest.raises(PrerequisiteError, match="apt-get install libbpf1"):
        library()
