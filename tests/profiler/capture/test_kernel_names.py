"""Names that the kernel tells of its functions, beside its own list of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from profiler.capture.kernel_source import KernelSource
from profiler.capture.loading import Loading
from profiler.capture.program import Part
from profiler.capture.source import Sampling
from symbolizers.native.kernel import kernel_frame
from tests.profiler.capture.test_kernel_refused import as_nobody

pytestmark = [pytest.mark.root, pytest.mark.live]


@pytest.fixture(scope="module")
def source() -> Iterator[KernelSource]:
    with closing(KernelSource(Sampling(20))) as source:
        source.load()
        yield source


def functions() -> dict[int, set[str]]:
    """The names of each, aliases and the program's own BPF ones among them, as they are shown."""
    found: dict[int, set[str]] = defaultdict(set)
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, kind, name, *module = line.split()
        if kind in "tTwW":
            shown = module if module and module[0] not in ("[bpf]", "[__builtin__ftrace]") else []
            found[int(address, 16)].add(" ".join([name, *shown]))
    return found


def test_they_are_those_of_the_list(source: KernelSource) -> None:
    listed = functions()
    programs = [address for address, names in listed.items() if any("bpf_prog_" in name for name in names)]
    some = [*random.Random(14).sample(sorted(listed), 500), *programs]
    told = source.kernel_names(some)
    # BPF programs of others may end meanwhile, and new ones be in their place.
    later = functions()
    stayed = [address for address in some if later.get(address) == listed[address]]
    assert set(programs) & set(stayed)
    assert len(stayed) >= 500
    assert [address for address in stayed if kernel_frame(told[address]).name not in listed[address]] == []


def test_nothing_is_said_of_what_is_no_function(source: KernelSource) -> None:
    assert source.kernel_names([0x1234]) == {}


def test_a_kernel_that_refuses_tells_none() -> None:
    address = next(iter(functions()))
    told: list[Mapping[int, bytes]] = []
    loading = Loading(20)
    with closing(KernelSource(Sampling(20), loading)) as source:
        source.load()
        loading.wait(Part.LATER)
        assert as_nobody(lambda: told.append(source.kernel_names([address]))) == []
    assert told == [{}]
