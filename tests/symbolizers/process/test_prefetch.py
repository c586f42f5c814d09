"""Swapped pages are brought back where swap is memory; nothing that could wait is even tried."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symbolizers.checksum import checksum
from symbolizers.errors import FaultReason, ReadFault
from symbolizers.frame import CAPTURE_KIND_SHIFT, CodeObject, RawFrame
from symbolizers.process import prefetch
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import read_mappings
from symbolizers.process.memory import NowaitReader, ReadStrategy
from symbolizers.process.prefetch import MAX_PAGES, Swap, bring, swap_kind
from symbolizers.python.kinds import PYTHON_CODE
from symbolizers.python.layouts import LAYOUTS
from symbolizers.service import Service
from tests.support.process.readers import fault_of
from tests.support.process.targets import (
    PAGE,
    ROOT,
    Target,
    in_time,
    running,
    running_fuse,
    swapped_bytes,
)

pytestmark = pytest.mark.root

SYS_PROCESS_MADVISE = 440
MADV_WILLNEED, MADV_PAGEOUT = 3, 21
HEADER = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
ZRAM_LINE = "/dev/{}                              partition\t65532\t\t0\t\t-2\n"

PYTHON_TARGET = """
import os
def some_function(): pass
kept = some_function.__code__
print(id(kept), flush=True)
os.read(0, 1)
"""


def advise(pid: int, address: int, size_bytes: int, advice: int) -> int:
    pidfd = os.pidfd_open(pid)
    iovec = (ctypes.c_uint64 * 2)(address, size_bytes)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    result: int = syscall(SYS_PROCESS_MADVISE, pidfd, ctypes.byref(iovec), ctypes.c_size_t(1), advice, 0)
    os.close(pidfd)
    return result


def page_out(handle: ProcessHandle, reader: NowaitReader, address: int) -> ReadFault:
    """Swaps out all memory of the process, and returns the fault of a read at `address`.

    The kernel passes over pages that it has in hand at the moment, so it is asked until that page is gone.
    """
    end_s = time.monotonic() + 5.0
    while time.monotonic() < end_s:
        for mapping in read_mappings(handle):
            if mapping.writable and not mapping.inode:
                advise(handle.id.pid, mapping.start, mapping.end - mapping.start, MADV_PAGEOUT)
        reader.forget()
        try:
            reader.read(address, 8)
        except ReadFault as fault:
            return fault
    raise AssertionError(f"{address:#x} is still in memory")


def bring_in_time(pid: int, strategy: ReadStrategy, addresses: list[int]) -> int:
    def attempt() -> int:
        handle = open_process(pid)
        return bring(handle, NowaitReader(handle, strategy), addresses)

    return in_time(attempt)


@pytest.fixture
def swapped() -> Iterator[Target]:
    with running("swapped") as target:
        assert swapped_bytes(target.pid) == 4 * PAGE
        yield target


@pytest.mark.usefixtures("swap")
def test_the_next_try_finds_what_was_swapped(swapped: Target, strategy: ReadStrategy) -> None:
    assert swap_kind() is Swap.MEMORY
    with open_process(swapped.pid) as handle:
        reader = NowaitReader(handle, strategy)
        fault = fault_of(lambda: reader.read(swapped["swapped"] + PAGE, 2))
        assert fault.fault is FaultReason.WOULD_FAULT
        assert bring_in_time(swapped.pid, strategy, [fault.address, fault.address + 8]) == 1
        assert reader.read(swapped["swapped"] + PAGE, 2) == b"\2\2"
    assert swapped_bytes(swapped.pid) == 3 * PAGE


BRING_AS_A_WORKER = """
import sys
from symbolizers.process.capabilities import keep_only, reading_capabilities
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.process.prefetch import bring
keep_only(reading_capabilities())
handle = open_process(int(sys.argv[1]))
print(bring(handle, NowaitReader(handle), [int(sys.argv[2])]))
"""


@pytest.mark.usefixtures("swap")
def test_it_takes_no_more_rights_than_a_worker_has(swapped: Target) -> None:
    """Where a page is swapped to shows only with CAP_SYS_ADMIN."""
    command = [sys.executable, "-c", BRING_AS_A_WORKER, str(swapped.pid), str(swapped["swapped"])]
    assert subprocess.check_output(command, cwd=ROOT) == b"1\n"


@pytest.mark.usefixtures("swap")
def test_advice_would_leave_the_page_missing(swapped: Target, strategy: ReadStrategy) -> None:
    """Why process_madvise is not used: it brings the page where the gate can't see it."""
    assert advise(swapped.pid, swapped["swapped"], PAGE, MADV_WILLNEED) == PAGE
    with open_process(swapped.pid) as handle:
        reader = NowaitReader(handle, strategy)
        assert fault_of(lambda: reader.read(swapped["swapped"], 2)).fault is FaultReason.WOULD_FAULT


@pytest.mark.usefixtures("swap")
def test_a_code_object_in_swap_is_read_within_one_request(strategy: ReadStrategy) -> None:
    command = [sys.executable, "-c", PYTHON_TARGET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            address = int(process.stdout.readline())
            service = Service(lines=True, strategy=strategy)
            inspection = service.inspect(process.pid, None)
            row = LAYOUTS.named(inspection.interpreters[0].layout)
            with open_process(process.pid) as handle:
                reader = NowaitReader(handle, strategy)
                count = row["code_checksum_words"]
                words = struct.unpack(f"<{count}Q", reader.read(address + row["code_checksum"], 8 * count))
                assert page_out(handle, reader, address).fault is FaultReason.WOULD_FAULT
            tagged = address | PYTHON_CODE << CAPTURE_KIND_SHIFT
            frame = RawFrame(tagged, 0, checksum(words), 0)
            (code,) = service.read(inspection.process, [frame])
            assert isinstance(code, CodeObject)
            assert (code.name, code.file, code.first_line) == ("some_function", "<string>", 3)
        finally:
            process.kill()


@pytest.mark.usefixtures("swap")
def test_pages_that_the_target_has_to_bring_are_left_alone(
    strategy: ReadStrategy, memory: Target, tmp_path: Path
) -> None:
    names = ("untouched", "none_untouched", "dropped", "file_cached", "file_cold", "file_random")
    assert bring_in_time(memory.pid, strategy, [memory[name] for name in names]) == 0
    with running("userfault") as held:
        assert bring_in_time(held.pid, strategy, [held["region"] + PAGE, held["region"] + 2 * PAGE]) == 0
    with running_fuse(tmp_path, "sync_reads") as held:
        pages = [held[region] + page * PAGE for region in ("plain", "random") for page in range(20)]
        assert bring_in_time(held.pid, strategy, pages) == 0
        assert held.ask("reads") == 0


@pytest.mark.usefixtures("swap")
def test_addresses_of_a_lying_target_bring_nothing(swapped: Target, strategy: ReadStrategy) -> None:
    assert bring_in_time(swapped.pid, strategy, [0, (1 << 47) - 1, (1 << 56) - PAGE]) == 0


@pytest.mark.usefixtures("swap")
def test_so_many_pages_at_once_and_no_more(strategy: ReadStrategy) -> None:
    pages = 2 * MAX_PAGES
    with running("heap", pages) as target:
        assert advise(target.pid, target["resident"], pages * PAGE, MADV_PAGEOUT) == pages * PAGE
        # Some pages may stay: the last ones touched can lie in another CPU's list, out of the advice's reach.
        before_bytes = swapped_bytes(target.pid)
        assert before_bytes > MAX_PAGES * PAGE
        addresses = [target["resident"] + page * PAGE for page in range(pages)]
        assert bring_in_time(target.pid, strategy, addresses) == MAX_PAGES
        assert swapped_bytes(target.pid) == before_bytes - MAX_PAGES * PAGE


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize("kind", [Swap.NONE, Swap.DISK])
def test_swap_on_a_disk_is_waited_for_by_nobody(
    kind: Swap, swapped: Target, strategy: ReadStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "swap_kind", lambda: kind)
    assert bring_in_time(swapped.pid, strategy, [swapped["swapped"]]) == 0
    assert swapped_bytes(swapped.pid) == 4 * PAGE


@pytest.mark.usefixtures("swap")
def test_a_process_that_exited_brings_nothing(strategy: ReadStrategy) -> None:
    with running("swapped") as target:
        handle = open_process(target.pid)
        address = target["swapped"]
    assert bring(handle, NowaitReader(handle, strategy), [address]) == 0
    handle.close()


def zram_in_use() -> str:
    (name,) = [
        line.split()[0] for line in Path("/proc/swaps").read_text().splitlines() if "/dev/zram" in line
    ][:1]
    return Path(name).name


@pytest.mark.usefixtures("swap")
@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (lambda zram: HEADER, Swap.NONE),
        (lambda zram: HEADER + ZRAM_LINE.format(zram), Swap.MEMORY),
        (lambda zram: HEADER + ZRAM_LINE.format(zram) + ZRAM_LINE.format("vda2"), Swap.DISK),
        (lambda zram: HEADER + ZRAM_LINE.format("zram9999"), Swap.DISK),
        (lambda zram: HEADER + "/swapfile\tfile\t1\t0\t-2\n", Swap.DISK),
        (lambda zram: HEADER + "/dev/zram0\\040(deleted)\tfile\t1\t0\t-2\n", Swap.DISK),
    ],
)
def test_kinds_of_swap(table: Callable[[str], str], kind: Swap, tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text(table(zram_in_use()))
    assert swap_kind(swaps) is kind


def test_a_kernel_without_swap(tmp_path: Path) -> None:
    assert swap_kind(tmp_path / "none") is Swap.NONE
