"""Ruby memory that lies, in a live process: everything comes to an end, and is counted."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbolizers.checksum import checksum
from symbolizers.frame import CAPTURE_KIND_SHIFT, CodeObject, RawFrame
from symbolizers.layout import Row
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.ruby.iseqs import BODY_WORDS, METHOD_WORDS, RubySymbolizer
from symbolizers.ruby.kinds import RUBY_CFUNC, RUBY_ISEQ
from symbolizers.ruby.layouts import LAYOUTS
from symbolizers.ruby.objects import (
    IMEMO_ISEQ,
    IMEMO_METHOD,
    T_ARRAY,
    T_CLASS,
    T_STRING,
    RubyObjects,
)
from symbolizers.values import MAX_TEXT_BYTES
from tests.bench.depth import bpf_statistics, program_runs
from tests.support.live.harness import Recording
from tests.support.live.hostile import ARENA, EXTREMES, HostileProcess, build, running
from tests.support.live.ledger import MOST_GROWTH_BYTES, Ledger, peak_bytes
from tests.support.ruby_heap import RubyHeap
from tests.support.ruby_target import words

ROWS = tuple(LAYOUTS)
CASES = 2000
"""The number of cases of each of the two kinds."""
HEAP_BYTES = 64 << 10
SOUP_WORDS = 4096
TYPES = (
    T_STRING,
    T_STRING | 1 << 13,
    T_ARRAY,
    T_ARRAY | 1 << 13,
    T_CLASS,
    T_CLASS | 3 << 12,
    IMEMO_ISEQ,
    IMEMO_METHOD,
)
CHECKED = {RUBY_ISEQ: BODY_WORDS, RUBY_CFUNC: 0}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileProcess]:
    with running(build_ruby(tmp_path_factory.mktemp("hostile"), ROWS[1])) as target:
        yield target


@pytest.fixture
def memory(hostile: HostileProcess) -> Iterator[NowaitReader]:
    """The target's memory, as a session reads it."""
    with open_process(hostile.pid) as handle:
        reader = NowaitReader(handle)
        yield reader
        reader.forget()


def build_ruby(folder: Path, row: Row) -> Path:
    version = ".".join(map(str, (*row.versions[0], 0)[:3]))
    vm = RubyHeap(row, ARENA, HEAP_BYTES).take()
    return build(folder, f"ruby-{version}", f'-DRUBY_VERSION="{version}"', f"-DRUBY_VM={vm:#x}")


def captured(memory: NowaitReader, row: Row, kind: int, address: int, owner: int) -> RawFrame:
    """What the walker would have captured there: the checksum is right, whatever memory it is of."""
    checked: list[int] = [0] * BODY_WORDS
    if kind == RUBY_ISEQ:
        checked = words(memory, words(memory, address + row["iseq_body"], 1)[0], BODY_WORDS)
    if owner:
        checked += words(memory, owner + 8, METHOD_WORDS)
    return RawFrame(kind << CAPTURE_KIND_SHIFT | address, 8, checksum(checked), owner)


def attempt(
    ledger: Ledger, memory: NowaitReader, row: Row, place: tuple[int, int, int], symbols: int
) -> None:
    symbolizer = RubySymbolizer(row, memory, RubyObjects(row, memory, symbols), lines=True)
    found = ledger.attempt(lambda: symbolizer.read(captured(memory, row, *place)))
    if isinstance(found, CodeObject):
        # a class's name, a separator and a label, and what Ruby puts around them
        assert len(found.name) <= 2 * MAX_TEXT_BYTES + 40
        assert len(found.file) <= MAX_TEXT_BYTES + 1
        assert len(found.starts) == len(found.lines)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_heap_without_lies_is_read(hostile: HostileProcess, memory: NowaitReader, row: Row) -> None:
    """Else the tests with lies would prove nothing."""
    heap = RubyHeap(row, ARENA, HEAP_BYTES)
    method = heap.method(heap.klass("Größe".encode()))
    iseq = heap.iseq(b"run")
    block = heap.iseq(b"block in run", iseq)
    hostile.write(ARENA, bytes(heap.content))
    symbolizer = RubySymbolizer(row, memory, RubyObjects(row, memory, heap.symbols), lines=True)
    code = symbolizer.read(captured(memory, row, RUBY_ISEQ, iseq, method))
    prefix = "Größe#" if row.has("class_path") or row.has("class_ext") else ""
    assert (code.name, code.file, code.first_line) == (
        f"{prefix}run",
        "/tmp/ü.rb",
        15 >> row["body_first_line_tag_bits"],
    )
    assert (code.starts, code.lines) == ((0, 24), (15, 16))
    inner = symbolizer.read(captured(memory, row, RUBY_ISEQ, block, method))
    assert inner.name == f"block in {prefix}run"
    cfunc = symbolizer.read(captured(memory, row, RUBY_CFUNC, method, method))
    assert cfunc.name == f"{prefix}__classpath__"


def test_objects_that_lie_are_named_or_refused(hostile: HostileProcess, memory: NowaitReader) -> None:
    ledger, before = Ledger(), peak_bytes()

    @given(
        row=st.sampled_from(ROWS),
        lies=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 1 << 32)), max_size=4),
        kind=st.sampled_from(list(CHECKED)),
        nested=st.booleans(),
    )
    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(row: Row, lies: list[tuple[float, int]], kind: int, nested: bool) -> None:
        heap = RubyHeap(row, ARENA, HEAP_BYTES)
        first = heap.used
        method = heap.method(heap.klass(b"Forged"))
        outer = heap.iseq(b"run")
        iseq = heap.iseq(b"block in run", outer) if nested else outer
        for place, choice in lies:
            address = ARENA + first + int(place * (heap.used - first)) // 8 * 8
            anywhere = ARENA + choice % heap.used // 64 * 64
            heap.put(
                address, random.Random(choice).choice([*EXTREMES, *TYPES, anywhere, anywhere, iseq, outer])
            )
        hostile.write(ARENA, bytes(heap.content))
        address = iseq if kind == RUBY_ISEQ else method
        attempt(ledger, memory, row, (kind, address, method), heap.symbols)

    check()
    assert ledger.outcomes.total() >= CASES
    assert min(ledger.outcomes[kind] for kind in ("read", "ReadFault", "Changed", "Malformed")) > 0, ledger
    assert peak_bytes() - before < MOST_GROWTH_BYTES


def soup(seed: int, types: Sequence[int]) -> bytes:
    """Objects of any type, whose words all lead to other ones or are numbers to trip over."""
    chance = random.Random(seed)
    inside = [ARENA + 64 * chance.randrange(SOUP_WORDS // 8) for _ in range(48)]
    found = chance.choices([*inside, *range(5), *EXTREMES], k=SOUP_WORDS)
    found[::8] = chance.choices(types, k=SOUP_WORDS // 8)
    return struct.pack(f"<{SOUP_WORDS}Q", *found)


def test_memory_that_leads_into_itself_ends(hostile: HostileProcess, memory: NowaitReader) -> None:
    ledger, before = Ledger(), peak_bytes()

    @given(row=st.sampled_from(ROWS), seed=st.integers(0, 1 << 32), kind=st.sampled_from(list(CHECKED)))
    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(row: Row, seed: int, kind: int) -> None:
        content = bytearray(soup(seed, TYPES))
        chance = random.Random(seed)
        iseq, method, symbols, body = (
            ARENA + 64 * place for place in chance.sample(range(SOUP_WORDS // 8), 4)
        )
        struct.pack_into("<Q", content, iseq - ARENA, IMEMO_ISEQ)
        struct.pack_into("<Q", content, iseq - ARENA + row["iseq_body"], body)
        struct.pack_into("<Q", content, method - ARENA, IMEMO_METHOD)
        hostile.write(ARENA, bytes(content))
        address = iseq if kind == RUBY_ISEQ else method
        attempt(ledger, memory, row, (kind, address, method), symbols)

    check()
    assert ledger.outcomes.total() >= CASES
    assert min(ledger.outcomes[kind] for kind in ("ReadFault", "Malformed")) > 0, ledger
    assert peak_bytes() - before < MOST_GROWTH_BYTES


RECORD_HZ = 400
HEAPS = 60
EACH_S = 0.03
FRAMES, RESUMER_FRAMES = 399, 30
MOST_RUN_US = 2_000
MOST_PROFILER_BYTES = 400 << 20


def forged_vm(row: Row, seed: int, thread: int) -> bytes:
    """A VM whose thread has many frames, with lies from one place or another on, or a ring of fibers."""
    chance = random.Random(seed)
    heap = RubyHeap(row, ARENA, HEAP_BYTES)
    vm = heap.vm(thread, FRAMES, RESUMER_FRAMES, ring=seed % 4 == 1)
    for _ in range(chance.choice((0, 1, 4, 40)) if seed else 0):
        address = ARENA + chance.randrange(vm - ARENA, heap.used) // 8 * 8
        anywhere = ARENA + chance.randrange(heap.used) // 64 * 64
        heap.put(address, chance.choice([*EXTREMES, *TYPES, anywhere, anywhere, address, vm]))
    return bytes(heap.content)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_walker_ends_whatever_it_walks(tmp_path: Path, row: Row) -> None:
    with bpf_statistics(), running(build_ruby(tmp_path, row)) as target:
        target.write(ARENA, forged_vm(row, 0, target.thread))
        recording = Recording(tmp_path, ["-F", str(RECORD_HZ), "-p", str(target.pid), "--lines"])
        target.burn()
        for seed in range(1, HEAPS):
            target.write(ARENA, forged_vm(row, seed, target.thread))
            time.sleep(EACH_S)  # the sampler looks at each for that long
        runs, spent_ns = program_runs([recording.process.pid])
        cpu_s = target.cpu_s()
        recorded = recording.finish()
    recorded.accounted()
    assert recorded.exit_code == 0
    assert recorded.stats["samples"] > max(0.7 * RECORD_HZ * cpu_s, HEAPS), recorded.said
    resumed = row.has("fiber_prev")
    whole = (FRAMES + resumed * RESUMER_FRAMES) * 2 // 3  # every third one is a C function
    assert recorded.where(lambda stack: sum("run" in frame for frame in stack) == whole) > 0
    assert (recorded.where(lambda stack: "[truncated]" in stack) > 0) == resumed, "the rings"
    assert sum(recorded.stats["dropped"].values()) > 0, "no walk came to an object that lies"
    assert runs > 0
    assert spent_ns / runs / 1000 < MOST_RUN_US
    assert recorded.stats["profiler_max_rss_bytes"] < MOST_PROFILER_BYTES
    (process,) = recorded.stats["per_process"]
    assert ("never tested" in process["note"]) == (row.capabilities.get("tested") == "no")
