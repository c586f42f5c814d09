"""CPython memory that lies, in a live process: everything comes to an end, and is counted."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symbolizers.base import AddressSpace
from symbolizers.errors import SymbolizeError
from symbolizers.frame import CodeObject
from symbolizers.layout import Row
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader
from symbolizers.python.code import (
    MAX_FILE_CHARACTERS,
    MAX_LINE_TABLE_BYTES,
    MAX_NAME_CHARACTERS,
    PythonSymbolizer,
    TypeAddresses,
)
from symbolizers.python.language import PythonFile
from symbolizers.python.layouts import LAYOUTS
from symbolizers.python.tasks import MAX_COROUTINES, MAX_TASKS
from tests.bench.depth import bpf_statistics, program_runs
from tests.support.heap import PythonHeap
from tests.support.live.harness import Recording, record
from tests.support.live.hostile import (
    ANY_TYPE_FLAGS,
    ARENA,
    EXTREMES,
    SOUP,
    HostileProcess,
    build,
    forged_stack,
    inside_soup,
    running,
    soup,
)
from tests.support.live.ledger import MOST_GROWTH_BYTES, Ledger, peak_bytes
from tests.support.python_walk import raw_frame
from tests.symbolizers.python.test_debug_offsets import table_of

ROWS = tuple(LAYOUTS)
CASES = 2000
"""The number of cases of each of the two kinds."""
FIELDS = {
    "code": ("code_filename", "code_name", "code_linetable", "object_type", "object_refcount"),
    "name": ("object_type", "unicode_length", "unicode_state", "unicode_legacy_data", "bytes_size"),
    "table": ("object_type", "bytes_size", "bytes_data"),
    "type": ("type_flags", "type_name"),
}
PARTS = ("code_filename", "code_name", "code_linetable")
PLACES = [(part, name) for part, names in FIELDS.items() for name in names]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileProcess]:
    with running(build_python(tmp_path_factory.mktemp("hostile"), 0x030B02F0)) as target:
        yield target


def build_python(folder: Path, hex_version: int, *claims: str, name: str = "") -> Path:
    return build(folder, name or f"cpython-{hex_version:x}", f"-DPYTHON_HEXVERSION={hex_version:#x}", *claims)


@pytest.fixture
def memory(hostile: HostileProcess) -> Iterator[NowaitReader]:
    """The target's memory, as a session reads it."""
    with open_process(hostile.pid) as handle:
        reader = NowaitReader(handle)
        yield reader
        reader.forget()


def forged(row: Row) -> tuple[PythonHeap, dict[str, int]]:
    """A heap with a code object as it should be, and where its parts are."""
    heap = PythonHeap(row, next_address=ARENA + 16)
    parts = {"name": heap.add_name("имя"), "table": heap.add_bytes(heap.line_table), "type": heap.str_type}
    parts["code"] = heap.add_code(heap.add_name("f"), parts["name"], table=parts["table"], first_line=7)
    return heap, parts


def symbolizer(heap: PythonHeap, memory: AddressSpace, *, exported: bool = True) -> PythonSymbolizer:
    exact = TypeAddresses(heap.code_type, heap.str_type, heap.bytes_type)
    return PythonSymbolizer(heap.row, memory, exact if exported else TypeAddresses(0, 0, 0), lines=True)


def attempt_code(ledger: Ledger, heap: PythonHeap, code: int, *, memory: AddressSpace, exported: bool) -> str:
    """How reading the code object came out; equal for the target's memory and for `heap`'s."""
    frame = raw_frame(heap.row, memory, code)
    found = ledger.attempt(lambda: symbolizer(heap, memory, exported=exported).read(frame))
    if isinstance(found, CodeObject):
        assert len(found.name) <= MAX_NAME_CHARACTERS
        assert len(found.file) <= MAX_FILE_CHARACTERS
        assert len(found.starts) == len(found.lines) <= MAX_LINE_TABLE_BYTES + 1
        return repr(found)
    return type(found).__name__


def test_code_objects_that_lie_are_named_or_refused(hostile: HostileProcess, memory: NowaitReader) -> None:
    ledger, twin, before = Ledger(), Ledger(), peak_bytes()

    @given(
        row=st.sampled_from(ROWS),
        lies=st.lists(
            st.tuples(
                st.sampled_from(PLACES), st.integers(0, 8), st.integers(0, len(EXTREMES) + 3), st.booleans()
            ),
            max_size=3,
        ),
        exported=st.booleans(),
    )
    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(row: Row, lies: list[tuple[tuple[str, str], int, int, bool]], exported: bool) -> None:
        heap, parts = forged(row)
        values = [*EXTREMES, *parts.values()]
        for (part, name), shift, value, shifted in lies:
            if row.has(name):
                address = parts[part] + row[name] + (shift if shifted else 0)
                heap.memory.write(address, struct.pack("<Q", values[value]))
        hostile.lay_out(heap.memory)
        code = parts["code"]
        live = attempt_code(ledger, heap, code, memory=memory, exported=exported)
        if live != "ReadFault":
            # Resident in the target, absent from the heap: pages that an earlier case left there.
            again = attempt_code(twin, heap, code, memory=heap.memory, exported=exported)
            assert again in (live, "ReadFault")

    check()
    assert ledger.outcomes.total() >= CASES
    assert min(ledger.outcomes[kind] for kind in ("read", "ReadFault", "Changed", "Malformed")) > 0, ledger
    assert peak_bytes() - before < MOST_GROWTH_BYTES


def everything_type(heap: PythonHeap) -> int:
    return heap.add_type("code", flags=ANY_TYPE_FLAGS)


def test_memory_that_leads_into_itself_ends(hostile: HostileProcess, memory: NowaitReader) -> None:
    ledger, before = Ledger(), peak_bytes()
    attempts = 0

    @given(row=st.sampled_from(ROWS), seed=st.integers(0, 1 << 32))
    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(row: Row, seed: int) -> None:
        nonlocal attempts
        heap = PythonHeap(row, next_address=ARENA + 16)
        kinds = [heap.code_type, everything_type(heap)]
        hostile.lay_out(heap.memory)
        contents = soup(row, seed, kinds)
        hostile.write(SOUP, contents)
        code, *others = random.Random(seed).sample(inside_soup(contents), 4)
        values = {"object_refcount": 1, "object_type": heap.code_type}
        for name, value in (*values.items(), *zip(PARTS, others, strict=True)):
            if row.has(name):
                hostile.write(code + row[name], struct.pack("<Q", value))
        attempt_code(ledger, heap, code, memory=memory, exported=True)
        attempts += 1 + attempt_runtime(ledger, heap, code, memory)

    check()
    assert attempts == ledger.outcomes.total() >= CASES
    assert min(ledger.outcomes[kind] for kind in ("read", "ReadFault", "Malformed")) > 0, ledger
    assert peak_bytes() - before < MOST_GROWTH_BYTES


def attempt_runtime(ledger: Ledger, heap: PythonHeap, root: int, memory: AddressSpace) -> int:
    """Tries the other readers: of names of threads, and of tasks. Returns how many of these there were."""
    row = heap.row
    series, nowhere = row.versions[0][:2], (0, 0)
    file = PythonFile("", series, row, root, nowhere, TypeAddresses(0, 0, 0))
    interpreter = file.attach(0)
    threads = file.thread_reader(interpreter, memory)
    if threads is not None:
        names = ledger.attempt(lambda: threads.names([0, 1, 2, 3]))
        assert isinstance(names, SymbolizeError) or (isinstance(names, dict) and len(names) <= 4)
    tasks = file.task_reader(interpreter, memory, symbolizer(heap, memory))
    if tasks is None:
        return threads is not None

    def chain() -> int:
        return len(tasks.chain(root, tasks.identity(root)).frames)

    count = ledger.attempt(chain)
    assert isinstance(count, SymbolizeError) or (
        isinstance(count, int) and count <= (MAX_TASKS + 1) * (MAX_COROUTINES + 1)
    )
    return (threads is not None) + 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_longest_line_table_that_is_read(hostile: HostileProcess, memory: NowaitReader, row: Row) -> None:
    heap, parts = forged(row)
    entry = heap.line_table[-2:] if row.capabilities["line_table"] != "locations" else b"\xd8"
    entries = MAX_LINE_TABLE_BYTES // len(entry)
    table = ARENA + (2 << 20)
    heap.words(table, {"object_refcount": 1, "object_type": heap.bytes_type})
    heap.words(table, {"bytes_size": entries * len(entry)})
    heap.words(parts["code"], {"code_linetable": table})
    hostile.lay_out(heap.memory)
    hostile.write(table + row["bytes_data"], entry * entries)
    ledger = Ledger()
    found = ledger.attempt(lambda: symbolizer(heap, memory).read(raw_frame(row, memory, parts["code"])))
    assert isinstance(found, CodeObject)
    assert len(found.starts) <= entries + 1


VERSIONS = {0x030B02F0: "cpython-3.11", 0x030C01F0: "cpython-3.12"}
RECORD_HZ = 400
HEAPS = 120
EACH_S = 0.03
MOST_RUN_US = 2_000
"""On average; one that goes through all its tail calls makes some thousand reads."""
MOST_PROFILER_BYTES = 400 << 20


@pytest.mark.parametrize("hex_version", VERSIONS, ids=VERSIONS.__getitem__)
def test_the_walker_ends_whatever_it_walks(tmp_path: Path, hex_version: int) -> None:
    row = LAYOUTS.named(VERSIONS[hex_version])
    with bpf_statistics(), running(build_python(tmp_path, hex_version)) as target:
        target.write(ARENA, forged_stack(row, 0, target.thread))
        recording = Recording(tmp_path, ["-F", str(RECORD_HZ), "-p", str(target.pid), "--lines"])
        target.burn()
        for seed in range(1, HEAPS):
            target.write(ARENA, forged_stack(row, seed, target.thread))
            # This is no safety margin: the sampler looks at each stack for that long.
            time.sleep(EACH_S)
        runs, spent_ns = program_runs([recording.process.pid])
        cpu_s = target.cpu_s()
        recorded = recording.finish()
    recorded.accounted()
    assert recorded.exit_code == 0
    assert recorded.stats["samples"] > max(0.7 * RECORD_HZ * cpu_s, HEAPS), recorded.said
    assert sum(recorded.stats["dropped"].values()) > 0, "no walk came to a code object that lies"
    assert recorded.within("[truncated]") > 0, "no walk was endless"
    assert runs > 0
    assert spent_ns / runs / 1000 < MOST_RUN_US
    assert recorded.stats["profiler_max_rss_bytes"] < MOST_PROFILER_BYTES


FORGED_TABLES = 24
SELF_DESCRIBED = {0x030D05F0: "cpython-3.13", 0x030E0AF0: "cpython-3.14", 0x030F02F0: "cpython-3.15"}


def forged_table(seed: int, hex_version: int) -> bytes:
    """A build's description of itself: true but for some numbers, which are lies of different sizes."""
    chance = random.Random(seed)
    row = LAYOUTS.named(SELF_DESCRIBED[hex_version])
    table = bytearray(table_of(row, hex_version=hex_version))
    for _ in range(chance.choice((1, 3, 12))):
        lie = chance.choice((8 * chance.randrange(12), 8 * chance.randrange(64), *EXTREMES))
        struct.pack_into("<Q", table, 8 * chance.randrange(3, len(table) // 8), lie)
    return bytes(table)


def test_builds_that_describe_themselves_wrongly(tmp_path: Path) -> None:
    """All run at once beside one that tells the truth: each is walked by what it says, or refused."""
    with ExitStack() as stack:
        targets = []
        for seed in range(FORGED_TABLES):
            hex_version = list(SELF_DESCRIBED)[seed % len(SELF_DESCRIBED)]
            table = (
                forged_table(seed, hex_version)
                if seed
                else table_of(LAYOUTS.named(SELF_DESCRIBED[hex_version]), hex_version=hex_version)
            )
            words = ",".join(f"{word:#x}UL" for (word,) in struct.iter_unpack("<Q", table))
            program = build_python(tmp_path, hex_version, f"-DPYTHON_OFFSETS={words}", name=f"forged-{seed}")
            target = stack.enter_context(running(program))
            row = LAYOUTS.named(SELF_DESCRIBED[hex_version])
            target.write(ARENA, forged_stack(row, seed, target.thread))
            target.burn()
            targets.append(target)
        pids = [option for target in targets for option in ("-p", str(target.pid))]
        recorded = record(tmp_path, "-F", "200", "-d", "4", "--lines", *pids)
    recorded.accounted()
    assert recorded.exit_code == 0
    processes = {process["pid"]: process for process in recorded.stats["per_process"]}
    assert {target.pid for target in targets} <= set(processes)
    refused = [pid for pid, process in processes.items() if "describes itself wrongly" in process["note"]]
    assert targets[0].pid not in refused
    assert 0 < len(refused) < FORGED_TABLES
    assert sum(recorded.stats["dropped"].values()) > 0, "no walk came to something that lies"
