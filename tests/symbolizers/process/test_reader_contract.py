"""The reader's contract, the same for every strategy and on every kernel.

Each read runs under `in_time`: one that waits fails. The target must not be held up either, so it is asked
afterwards: it answers, and its own mmap() is quick.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from symbolizers.errors import FaultReason, Malformed, ReadFault, SymbolizeError
from symbolizers.process.memory import (
    ADDRESS_LIMIT,
    READ_LIMIT_BYTES,
    NowaitReader,
    ReadStrategy,
)
from tests.support.process.fuse_program import FILE_PAGES, READ_AHEAD_PAGES
from tests.support.process.readers import fault_of, faults, open_reader
from tests.support.process.targets import (
    NOBODY,
    PAGE,
    Target,
    in_time,
    running,
    running_fuse,
    swapped_bytes,
)

pytestmark = pytest.mark.root

WOULD_FAULT, BAD_ADDRESS = FaultReason.WOULD_FAULT, FaultReason.BAD_ADDRESS


@pytest.fixture
def reader(memory: Target, strategy: ReadStrategy) -> NowaitReader:
    return open_reader(memory.pid, strategy)


# Pages that are there


def test_resident_bytes(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read(memory["resident"] + 100, 8)) == b"\1" * 8


def test_across_a_page_boundary(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read(memory["resident"] + PAGE - 3, 6)) == b"\1\1\1\2\2\2"


def test_several_whole_pages(memory: Target, reader: NowaitReader) -> None:
    expected = b"".join(bytes([page]) * PAGE for page in (1, 2, 3, 4))
    assert in_time(lambda: reader.read(memory["resident"], 4 * PAGE)) == expected


def test_last_byte_before_a_missing_page(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read(memory["half"] + 2 * PAGE - 1, 1)) == b"\2"


def test_zero_page(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read(memory["zero"], PAGE)) == bytes(PAGE)


def test_huge_page(memory: Target, reader: NowaitReader) -> None:
    smaps = Path(f"/proc/{memory.pid}/smaps").read_text()
    assert "AnonHugePages:      2048 kB" in smaps
    assert in_time(lambda: reader.read(memory["huge"] + 3 * PAGE, 8)) == b"\4" * 8


def test_mapped_file_page(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read(memory["file_mapped"] + PAGE - 1, 2)) == b"\1\2"


def test_random_ranges_are_what_lies_there(memory: Target, reader: NowaitReader) -> None:
    chance = random.Random(7)
    content = b"".join(bytes([page]) * PAGE for page in (1, 2, 3, 4))
    starts = [chance.randrange(4 * PAGE - 5000) for _ in range(300)]
    ranges = [(start, chance.randrange(5000)) for start in starts]
    wanted = [content[start : start + size] for start, size in ranges]
    there = [(memory["resident"] + start, size) for start, size in ranges]
    assert in_time(lambda: reader.read_many(there)) == wanted
    assert in_time(lambda: [reader.read(*one) for one in there]) == wanted


# Pages that are not


@pytest.mark.parametrize(
    "region", ["untouched", "dropped", "none_untouched", "file_cached", "file_cold", "file_random"]
)
def test_page_that_is_not_present(memory: Target, reader: NowaitReader, region: str) -> None:
    address = memory[region] + 16
    fault = fault_of(lambda: in_time(lambda: reader.read(address, 8)))
    assert (fault.address, fault.fault) == (address, WOULD_FAULT)
    # Nor did the read bring it, which plain process_vm_readv would have done.
    again = fault_of(lambda: in_time(lambda: reader.read(address, 8)))
    assert again.fault is WOULD_FAULT
    assert memory.ask("mmap_us") < 100_000


def test_unmapped(memory: Target, reader: NowaitReader) -> None:
    fault = fault_of(lambda: in_time(lambda: reader.read(memory["holed"] + PAGE + 8, 8)))
    assert (fault.address, fault.fault) == (memory["holed"] + PAGE + 8, WOULD_FAULT)


def test_forbidden_though_present(memory: Target, reader: NowaitReader) -> None:
    fault = fault_of(lambda: in_time(lambda: reader.read(memory["none_touched"] + 8, 8)))
    assert (fault.address, fault.fault) == (memory["none_touched"] + 8, BAD_ADDRESS)


def test_range_into_a_missing_page(memory: Target, reader: NowaitReader) -> None:
    fault = fault_of(lambda: in_time(lambda: reader.read(memory["half"] + PAGE, 2 * PAGE)))
    assert (fault.address, fault.fault) == (memory["half"] + 2 * PAGE, WOULD_FAULT)


def test_range_over_a_hole(memory: Target, reader: NowaitReader) -> None:
    fault = fault_of(lambda: in_time(lambda: reader.read(memory["holed"] + 1, 3 * PAGE - 2)))
    assert (fault.address, fault.fault) == (memory["holed"] + PAGE, WOULD_FAULT)


def test_page_comes_without_being_forgotten(pages_file: Path, strategy: ReadStrategy) -> None:
    with running("memory", pages_file) as target:
        reader = open_reader(target.pid, strategy)
        assert fault_of(lambda: reader.read(target["untouched"], 8)).fault is WOULD_FAULT
        assert target.ask("touch") == 0
        assert in_time(lambda: reader.read(target["untouched"], 8)) == bytes(8)


def test_more_misses_on_a_file_than_the_kernel_skips(memory: Target, reader: NowaitReader) -> None:
    pages = [(memory["file_cold"] + page * PAGE, 8) for page in range(256)]
    assert faults(in_time(lambda: reader.read_many(pages))) == [(start, WOULD_FAULT) for start, _ in pages]
    assert faults(in_time(lambda: [reader.read_many([one])[0] for one in pages])) == [
        (start, WOULD_FAULT) for start, _ in pages
    ]


@pytest.mark.usefixtures("swap")
def test_swapped_page_stays_in_swap(strategy: ReadStrategy) -> None:
    with running("swapped") as target:
        reader = open_reader(target.pid, strategy)
        assert swapped_bytes(target.pid) == 4 * PAGE
        ranges = [(target["resident"], 2), (target["swapped"] + PAGE, 2), (target["resident"] + PAGE, 2)]
        before, fault, after = in_time(lambda: reader.read_many(ranges))
        assert (before, after) == (b"\1\1", b"\2\2")
        assert faults([fault]) == [(target["swapped"] + PAGE, WOULD_FAULT)]
        assert swapped_bytes(target.pid) == 4 * PAGE
        assert target.ask("touch") == 1
        assert in_time(lambda: reader.read(target["swapped"], 2)) == b"\1\1"


# Pages that would never come


def test_userfaultfd_missing(strategy: ReadStrategy) -> None:
    with running("userfault") as target:
        reader = open_reader(target.pid, strategy)
        region = target["region"]
        fault = fault_of(lambda: in_time(lambda: reader.read(region + PAGE - 4, 8)))
        assert (fault.address, fault.fault) == (region + PAGE, WOULD_FAULT)
        first, second, again = in_time(
            lambda: reader.read_many([(region, 2), (region + PAGE, 2), (region, 2)])
        )
        assert (first, again) == (b"\1\1", b"\1\1")
        assert faults([second]) == [(region + PAGE, WOULD_FAULT)]
        assert target.ask("mmap_us") < 100_000
        assert target.ask("serve") == PAGE
        assert in_time(lambda: reader.read(region + PAGE - 4, 8)) == b"\1" * 8


@pytest.mark.parametrize("region", ["plain", "random"])
@pytest.mark.parametrize("variant", ["async_reads", "sync_reads", "no_readahead"])
def test_file_on_a_stuck_fuse_mount(
    strategy: ReadStrategy, tmp_path: Path, variant: str, region: str
) -> None:
    with running_fuse(tmp_path, variant) as target:
        reader = open_reader(target.pid, strategy)
        # One page of each stretch that the kernel reads ahead: every read would be a miss of its own.
        pages = [(target[region] + page * PAGE, 8) for page in range(0, FILE_PAGES, READ_AHEAD_PAGES)]
        fault = fault_of(lambda: in_time(lambda: reader.read(*pages[0])))
        assert (fault.address, fault.fault) == (target[region], WOULD_FAULT)
        found = in_time(lambda: reader.read_many([*pages, (target["resident"], 2)]))
        assert faults(found[:-1]) == [(start, WOULD_FAULT) for start, _ in pages]
        assert found[-1] == b"\1\1"
        # The server was not even asked, and nobody holds the mmap lock.
        assert target.ask("reads") == 0
        assert target.ask("mmap_us") < 100_000


# Many at once


def test_one_missing_among_many(memory: Target, reader: NowaitReader) -> None:
    there = memory["resident"]
    ranges = [(there, 2), (memory["half"] + 2 * PAGE, 4), (there + PAGE, 2), (memory["none_touched"], 4)]
    ranges += [(there + 2 * PAGE - 1, 2), (there, 0)]
    found = in_time(lambda: reader.read_many(ranges))
    assert [found[index] for index in (0, 2, 4, 5)] == [b"\1\1", b"\2\2", b"\2\3", b""]
    assert faults([found[1], found[3]]) == [
        (memory["half"] + 2 * PAGE, WOULD_FAULT),
        (memory["none_touched"], BAD_ADDRESS),
    ]


def test_fault_inside_the_last_range(memory: Target, reader: NowaitReader) -> None:
    ranges = [(memory["resident"], 3), (memory["half"] + PAGE, PAGE + 1)]
    found = in_time(lambda: reader.read_many(ranges))
    assert found[0] == b"\1\1\1"
    assert faults([found[1]]) == [(memory["half"] + 2 * PAGE, WOULD_FAULT)]


def test_more_ranges_than_one_call_takes(memory: Target, reader: NowaitReader) -> None:
    ranges = [(memory["resident"] + (index % 4) * PAGE, 1) for index in range(3000)]
    assert in_time(lambda: reader.read_many(ranges)) == [bytes([index % 4 + 1]) for index in range(3000)]


def test_nothing_to_read(memory: Target, reader: NowaitReader) -> None:
    assert in_time(lambda: reader.read_many([])) == []
    assert in_time(lambda: reader.read(memory["untouched"], 0)) == b""


# What a lying pointer or length gives


@pytest.mark.parametrize(
    ("address", "size"),
    [(-8, 4), (-2, 4), (ADDRESS_LIMIT - 1, 2), (ADDRESS_LIMIT, 1), ((1 << 64) - 4, 8), (1 << 70, 1)],
)
def test_address_that_no_process_has(reader: NowaitReader, address: int, size: int) -> None:
    fault = fault_of(lambda: in_time(lambda: reader.read(address, size)))
    assert (fault.address, fault.fault) == (address, BAD_ADDRESS)


@pytest.mark.parametrize("address", [0, (1 << 47) - 1, 1 << 47, ADDRESS_LIMIT - PAGE])
def test_address_without_a_page(reader: NowaitReader, address: int) -> None:
    assert faults(in_time(lambda: reader.read_many([(address, 1)]))) == [(address, WOULD_FAULT)]


@pytest.mark.parametrize("size", [-1, READ_LIMIT_BYTES + 1, 1 << 63])
def test_length_out_of_bounds(memory: Target, reader: NowaitReader, size: int) -> None:
    with pytest.raises(Malformed):
        in_time(lambda: reader.read(memory["resident"], size))


def test_ranges_out_of_bounds_together(memory: Target, reader: NowaitReader) -> None:
    half, rest = READ_LIMIT_BYTES // 2 + 1, (memory["resident"], 2)
    found = in_time(lambda: reader.read_many([(memory["resident"], half)] * 2 + [rest]))
    assert isinstance(found[0], ReadFault)
    assert isinstance(found[1], Malformed)
    assert found[2] == b"\1\1"


# Permission and the pidfd


def test_unprivileged_caller(memory: Target, strategy: ReadStrategy) -> None:
    def attempt() -> list[bytes | SymbolizeError]:
        return open_reader(memory.pid, strategy).read_many([(memory["resident"], 2), (0, 1)])

    assert faults(in_time(attempt, as_user=NOBODY)) == [
        (memory["resident"], FaultReason.PERMISSION),
        (0, FaultReason.PERMISSION),
    ]


def _closed(reader: NowaitReader) -> None:
    reader._handle.close()


def _not_a_pidfd(reader: NowaitReader) -> None:
    with open(os.devnull, "rb") as file:
        os.dup2(file.fileno(), reader._handle.pidfd)


@pytest.mark.parametrize("spoil", [_closed, _not_a_pidfd])
def test_bad_pidfd(memory: Target, reader: NowaitReader, spoil: Callable[[NowaitReader], None]) -> None:
    def attempt() -> list[bytes | SymbolizeError]:
        assert reader.read(memory["resident"], 2) == b"\1\1"
        spoil(reader)
        single = fault_of(lambda: reader.read(memory["resident"], 2))
        return [single, *reader.read_many([(memory["resident"], 2)])]

    assert faults(in_time(attempt)) == [(memory["resident"], FaultReason.EXITED)] * 2
