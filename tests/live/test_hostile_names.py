"""Names that lie at the interrupt: the kernel takes them or leaves them, and nothing else comes of it."""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from pathlib import Path

from symbolizers.python.layouts import LAYOUTS
from tests.bench.depth import bpf_statistics, program_runs
from tests.live.test_hostile import build_python
from tests.support.heap import PythonHeap
from tests.support.live.harness import Recording
from tests.support.live.hostile import ARENA, ARENA_BYTES, HostileProcess, running

HEX_VERSION = 0x030B02F0
ROW = LAYOUTS.named("cpython-3.11")
HZ = 400
ROUNDS = 200
EACH_S = 0.02
TRUE = "true_name"
LENGTHS = (0, 1, 127, 128, 129, 5000, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
KINDS = range(8)
MOST_RUN_US = 100
THREAD, FRAME = 0x4000, 0x5000
"""Where the thread state and its only frame lie in the arena; the interpreter's is at its start."""


def stack_of(heap: PythonHeap, code: int, thread: int) -> None:
    """Has the thread run `code`."""
    heap.words(ARENA, {"interpreter_next": 0, "interpreter_threads_head": ARENA + THREAD})
    heap.words(ARENA + THREAD, {"thread_thread_id": thread, "thread_next": 0})
    frame = {"thread_frame": ARENA + THREAD, "cframe_frame": ARENA + FRAME}
    heap.words(ARENA + THREAD, frame)
    heap.words(ARENA + FRAME, {"frame_code": code, "frame_previous": 0, "frame_instr": code + 256})


def lie(heap: PythonHeap, chance: random.Random) -> int:
    """A string that lies: about its length, its kind, its characters, or whether it is there as a whole."""
    text = chance.choice(["\0\n;", "name", "\x7f" * 100])
    at = ARENA + ARENA_BYTES - ROW["unicode_ascii_data"] - 4 if chance.random() < 0.3 else 0
    string = heap.add_str("n" if at else text, at=at)
    if at or chance.random() < 0.5:
        heap.words(string, {"unicode_length": 100 if at else chance.choice(LENGTHS)})
    if chance.random() < 0.5:
        state = (
            chance.choice(KINDS) << ROW["unicode_kind_bit"]
            | chance.getrandbits(1) << ROW["unicode_ascii_bit"]
        )
        state |= chance.getrandbits(1) << ROW["unicode_compact_bit"]
        heap.memory.write(string + ROW["unicode_state"], struct.pack("<I", state))
    return chance.choice([string, string, string, ARENA + ARENA_BYTES - 8, chance.getrandbits(64)])


def round_of(target: HostileProcess, number: int) -> bool:
    """Has the target run another code object, whose names lie but for every fourth one. Whether they lie."""
    chance = random.Random(number)
    heap = PythonHeap(ROW, next_address=ARENA + 0x8000 + 0x1000 * (number % 512))
    lies = number % 4 != 0
    file = heap.add_name("true.py")
    name = lie(heap, chance) if lies else heap.add_name(TRUE)
    if lies and chance.random() < 0.3:
        file = lie(heap, chance)
    code = heap.add_code(file, name, first_line=number + 1, arguments=number)
    stack_of(heap, code, target.thread)
    target.lay_out(heap.memory)
    return lies


def test_names_that_lie_cost_themselves_alone(tmp_path: Path) -> None:
    rounds: Counter[bool] = Counter()
    with bpf_statistics(), running(build_python(tmp_path, HEX_VERSION)) as target:
        round_of(target, 0)
        recording = Recording(tmp_path, ["-F", str(HZ), "-p", str(target.pid)])
        target.burn()
        for number in range(1, ROUNDS):
            rounds[round_of(target, number)] += 1
            # This is no safety margin: the sampler looks at each stack for that long.
            time.sleep(EACH_S)
        runs, spent_ns = program_runs([recording.process.pid])
        recorded = recording.finish()
    recorded.accounted()
    assert recorded.exit_code == 0
    samples = recorded.stats["samples"]
    assert samples > ROUNDS * EACH_S * HZ / 2
    assert recorded.within(TRUE) > 0.7 * samples * rounds[False] / rounds.total(), recorded.said
    assert all("\n" not in frame for stack in recorded.stacks for frame in stack)
    assert spent_ns / runs / 1000 < MOST_RUN_US
