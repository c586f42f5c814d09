"""A large recording, made of nothing but a random generator's numbers: the same one each time."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from profiler.profile.model import Profile, Root, Sample, Thread
from symbolizers.frame import KERNEL, NATIVE, Frame
from tests.support.export_samples import profile_of

DURATION_MS = 3_600_000
PROCESSES = 40
THREADS = 3
"""In each process."""
CALLEES = 3
"""The functions that one calls."""


def many_stacks(*, stacks: int = 100_000, samples: int = 1_000_000, timed: bool = True) -> Profile:
    """An hour with so many distinct stacks, 25 frames deep on average, and so many samples of them."""
    chance = Random(15)
    functions = [
        *(
            Frame("python", f"Class{n % 90}.method_{n}", f"package/module_{n % 300}.py", n)
            for n in range(3000)
        ),
        *(Frame(NATIVE, f"_ZN{n}::function<…>", f"lib{n % 30}.so.6") for n in range(1500)),
        *(Frame(KERNEL, f"kernel_function_{n}") for n in range(500)),
    ]
    callees = {function: chance.sample(functions, CALLEES) for function in functions}
    lanes = [
        (
            Root(f"worker-{process % 7}".encode(), 1000 + process),
            Thread(b"worker", 2000 + 10 * process + thread),
        )
        for process in range(PROCESSES)
        for thread in range(THREADS)
    ]
    kept: dict[tuple[Root, Thread, tuple[Frame, ...]], int] = {}
    while len(kept) < stacks:
        path = [functions[0]]
        for _ in range(chance.randint(10, 40)):
            path.append(chance.choice(callees[path[-1]]))
        kept[(*chance.choice(lanes), tuple(path))] = 1
    each, more = divmod(samples, stacks)
    counts = [each + (index < more) for index in range(stacks)]
    found = (
        Sample(root, frames, count, thread, _times(chance, count) if timed else ())
        for (root, thread, frames), count in zip(kept, counts, strict=True)
    )
    return replace(profile_of(*found), duration_s=DURATION_MS / 1000, frequency_hz=100)


def _times(chance: Random, count: int) -> tuple[int, ...]:
    return tuple(sorted(chance.randrange(DURATION_MS) for _ in range(count)))
