"""What the kernel tells of mappings and forks, against what /proc says."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from profiler.capture.mapping_events import MappingEvents
from profiler.capture.records import CodeMapped, Forked, MappingsLost
from symbolizers.inspection import VDSO, FileKey
from symbolizers.process.maps import Mapping, parse_mappings
from symbolizers.process.syscalls import inode_generation

pytestmark = pytest.mark.live

PATIENCE_S = 20.0
MAPS = ["/bin/cat", "/proc/self/maps"]


@pytest.fixture
def events() -> Iterator[MappingEvents]:
    with closing(MappingEvents(sorted(os.sched_getaffinity(0)))) as events:
        yield events


def key_of(mapping: Mapping) -> FileKey | None:
    if not mapping.inode:
        return VDSO if mapping.path == "[vdso]" else None
    fd = os.open(mapping.path, os.O_RDONLY)
    try:
        generation = inode_generation(fd)
    finally:
        os.close(fd)
    assert generation is not None
    return FileKey(mapping.device, mapping.inode, (generation,))


def test_a_program_that_is_over_has_told_what_it_had_mapped(events: MappingEvents) -> None:
    """All that /proc/PID/maps said of code."""
    with subprocess.Popen(MAPS, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        expected = parse_mappings(process.stdout.read(), executable_only=True)
    told = [each for each in events.drain() if isinstance(each, CodeMapped) and each.pid == process.pid]
    assert told[0].mapping is None
    found = {each.mapping[:4] for each in told if each.mapping is not None}
    files = [each for each in expected if key_of(each) is not None]
    assert {"[vdso]", "/usr/bin/cat"} <= {each.path for each in files}
    # The dynamic linker maps a library whole, and then its parts over that.
    assert found >= {(each.start, each.end, each.offset, key_of(each)) for each in files}
    paths = {each.mapping.path for each in told if each.mapping is not None}
    assert paths == {each.path for each in files}
    assert [each.time_ns for each in told] == sorted(each.time_ns for each in told)
    assert abs(told[-1].time_ns - time.monotonic_ns()) < PATIENCE_S * 1e9


def test_a_fork_names_its_parent_and_a_thread_is_none(events: MappingEvents) -> None:
    with subprocess.Popen(MAPS, stdout=subprocess.DEVNULL) as process:
        process.wait()
    forks = [each for each in events.drain() if isinstance(each, Forked)]
    assert [each.parent_pid for each in forks if each.pid == process.pid] == [os.getpid()]
    assert all(each.pid != each.parent_pid for each in forks)


def test_what_runs_already_tells_nothing(events: MappingEvents, tmp_path: Path) -> None:
    with (tmp_path / "code").open("w+b") as file:
        file.truncate(mmap.PAGESIZE)
        mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
    told = events.drain()
    assert os.getpid() not in {each.pid for each in told if isinstance(each, CodeMapped)}


def test_records_without_room_are_counted_and_end_what_was_known() -> None:
    with closing(MappingEvents(sorted(os.sched_getaffinity(0)), pages=1)) as events:
        for _ in range(40):
            subprocess.run(MAPS, stdout=subprocess.DEVNULL, check=True)
        told = events.drain()
        end_s = time.monotonic() + PATIENCE_S
        while not any(isinstance(each, MappingsLost) for each in told):
            assert time.monotonic() < end_s
            # The next record on a CPU tells that some before it were lost there.
            subprocess.run(MAPS, stdout=subprocess.DEVNULL, check=True)
            told = events.drain()


def test_it_can_be_closed_twice() -> None:
    before = len(os.listdir("/proc/self/fd"))
    events = MappingEvents([0])
    events.close()
    events.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(OSError, match=r"."):
        MappingEvents([0, 1 << 20])
    assert len(os.listdir("/proc/self/fd")) == before
