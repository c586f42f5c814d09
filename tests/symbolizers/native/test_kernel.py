"""Kernel symbols against the running kernel's own list and a slow, plain reading of it."""

from __future__ import annotations

import random
import subprocess
import time
import tracemalloc
from bisect import bisect_right
from pathlib import Path

import pytest

from symbolizers.frame import KERNEL, Frame
from symbolizers.native.kernel import KALLSYMS, UNKNOWN, KernelSymbols
from tests.support.slowness import slowness

LISTING = b"""\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T srso_alias
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 t a_local_name
ffffffff81000100 t local_function
ffffffff81000180 W weak_function
ffffffff81000200 T last_function.cold
ffffffff82000000 D data_symbol
ffffffffc0002000 t second_of_module\t[a_module]
ffffffffc0001000 t first_of_module\t[a_module]
ffffffffc0001800 d data_of_module\t[a_module]
ffffffffc0003000 t bpf_prog_6deef7357e7b4530_on_tick\t[bpf]
ffffffffc0003100 t ftrace_trampoline\t[__builtin__ftrace]
"""


def _kernel(name: str) -> Frame:
    return Frame(KERNEL, name)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "kallsyms"
    path.write_bytes(LISTING)
    return path


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF81000000, "srso_alias"),
        (0xFFFFFFFF810000FF, "srso_alias"),
        (0xFFFFFFFF81000100, "local_function"),
        (0xFFFFFFFF810001FF, "weak_function"),
        (0xFFFFFFFF81000200, "last_function.cold"),
        (0xFFFFFFFF81001234, "last_function.cold"),
        (0xFFFFFFFFC0000FFF, "[unknown]"),  # between the kernel and its modules
        (0xFFFFFFFFC0001000, "first_of_module [a_module]"),
        (0xFFFFFFFFC0001FFF, "first_of_module [a_module]"),
        (0xFFFFFFFFC0002FFF, "second_of_module [a_module]"),
        (0xFFFFFFFFC0003001, "bpf_prog_6deef7357e7b4530_on_tick"),
        (0xFFFFFFFFC0003100, "ftrace_trampoline"),
        (0xFFFFFFFFD0000000, "[unknown]"),
        (0x1000, "[unknown]"),
        (0, "[unknown]"),
        ((1 << 64) - 1, "[unknown]"),
    ],
)
def test_one_address(listing: Path, address: int, name: str) -> None:
    symbols = KernelSymbols(str(listing))
    assert symbols.resolve([address]) == {address: _kernel(name)}
    assert not symbols.hidden


def test_all_addresses_at_once_and_none(listing: Path) -> None:
    symbols = KernelSymbols(str(listing))
    frames = symbols.resolve(iter([0xFFFFFFFFC0003001, 0xFFFFFFFF81000101, 0xFFFFFFFF81000101]))
    assert frames == {
        0xFFFFFFFF81000101: _kernel("local_function"),
        0xFFFFFFFFC0003001: _kernel("bpf_prog_6deef7357e7b4530_on_tick"),
    }
    assert symbols.resolve([]) == {}
    assert not symbols.hidden


@pytest.mark.parametrize("content", [b"", b"0000000000000000 T a\n0000000000000000 t b\t[m]\n" * 5000])
def test_hidden_addresses_are_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(content)
    symbols = KernelSymbols(str(path))
    assert symbols.resolve([0xFFFFFFFF81000000, 16]) == {0xFFFFFFFF81000000: UNKNOWN, 16: UNKNOWN}
    assert symbols.hidden


def test_a_kernel_without_the_list_hides_everything(tmp_path: Path) -> None:
    symbols = KernelSymbols(str(tmp_path / "absent"))
    assert symbols.resolve([16]) == {16: UNKNOWN}
    assert symbols.hidden


class Slow:
    """The whole list, parsed line by line and sorted; the best name of an address comes last."""

    def __init__(self, listing: bytes) -> None:
        functions: list[tuple[int, bool, int, str]] = []
        for line in listing.decode().splitlines():
            address, kind, name = line.split()[:3]
            if kind in "tTwW":
                underscores = len(name) - len(name.lstrip("_"))
                functions.append((int(address, 16), kind != "t", -underscores, name))
        self._functions = sorted(functions)
        self.addresses = [function[0] for function in self._functions]

    def name(self, address: int) -> Frame:
        """The nearest function not after `address`, not farther than 1 MiB."""
        index = bisect_right(self.addresses, address) - 1
        if index < 0 or address - self.addresses[index] > 1 << 20:
            return UNKNOWN
        return _kernel(self._functions[index][3])


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The running kernel's list, held still: BPF programs come and go meanwhile."""
    path = tmp_path_factory.mktemp("kernel") / "kallsyms"
    path.write_bytes(Path(KALLSYMS).read_bytes())
    return path


def _some_addresses(slow: Slow, count: int) -> list[int]:
    choose = random.Random(5)
    near = [choose.choice(slow.addresses) + choose.randint(-64, 4096) for _ in range(count)]
    return [*near, *(choose.getrandbits(64) for _ in range(100)), *slow.addresses[-300:]]


@pytest.mark.root
def test_the_running_kernels_list_agrees_with_a_slow_reading(snapshot: Path) -> None:
    slow = Slow(snapshot.read_bytes())
    addresses = _some_addresses(slow, 20_000)
    frames = KernelSymbols(str(snapshot)).resolve(addresses)
    assert frames == {address: slow.name(address) for address in addresses}


def test_the_order_of_the_list_does_not_matter(snapshot: Path, tmp_path: Path) -> None:
    lines = snapshot.read_bytes().splitlines(keepends=True)
    random.Random(6).shuffle(lines)
    shuffled = tmp_path / "shuffled"
    shuffled.write_bytes(b"".join(lines))
    addresses = _some_addresses(Slow(snapshot.read_bytes()), 500)
    in_order = KernelSymbols(str(snapshot)).resolve(addresses)
    assert KernelSymbols(str(shuffled)).resolve(addresses) == in_order


@pytest.mark.root
def test_the_live_list_is_read_at_little_cost(snapshot: Path) -> None:
    slow = Slow(snapshot.read_bytes())
    lines = snapshot.read_bytes().splitlines()
    core = [int(line[:16], 16) for line in lines if line[17:18] in b"tT" and b"[" not in line][::100]
    symbols = KernelSymbols()
    started = time.process_time()
    frames = symbols.resolve(core)
    assert time.process_time() - started < 0.5 * slowness()  # 0.05 s usually
    assert frames == {address: slow.name(address) for address in core}
    assert not symbols.hidden


def test_the_list_is_never_in_memory_as_a_whole(snapshot: Path) -> None:
    assert snapshot.stat().st_size > 2 << 20
    tracemalloc.start()
    try:
        KernelSymbols(str(snapshot)).resolve(range(0xFFFFFFFF81000000, 0xFFFFFFFF82000000, 1 << 16))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_an_unprivileged_user_is_shown(snapshot: Path, tmp_path: Path) -> None:
    command = ["cat", KALLSYMS]
    shown = subprocess.run(command, user=65534, group=65534, capture_output=True, check=True).stdout
    path = tmp_path / "kallsyms"
    path.write_bytes(shown)
    all_zero = not any(line[:16].strip(b"0") for line in shown.splitlines())
    address = Slow(snapshot.read_bytes()).addresses[1000]
    symbols = KernelSymbols(str(path))
    frame = symbols.resolve([address])[address]
    assert symbols.hidden == all_zero
    assert (frame == UNKNOWN) == all_zero
