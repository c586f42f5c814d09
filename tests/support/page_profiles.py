"""Profiles for the page: a small machine with times, threads and containers, and one of very many stacks."""

from __future__ import annotations

import random
from collections import defaultdict
from io import BytesIO
from pathlib import Path

from msgspec.structs import replace

from profiler.export import diff_html, html
from profiler.profile.diff import Diff
from profiler.profile.model import Process, Profile, Root, Sample, Thread
from symbolizers.frame import KERNEL, NATIVE, Frame
from symbolizers.registry import LANGUAGES
from tests.support.export_samples import profile_of

DURATION_S = 20
_LANGUAGE = LANGUAGES[0].name


def frames(*names: str, kind: str = NATIVE) -> tuple[Frame, ...]:
    return tuple(Frame(kind, name, "m.py" if kind == _LANGUAGE else "") for name in names)


def write_page(profile: Profile, path: Path) -> Path:
    stream = BytesIO()
    html.write(profile, stream)
    path.write_bytes(stream.getvalue())
    return path


def write_diff_page(diff: Diff, path: Path) -> Path:
    with path.open("wb") as stream:
        diff_html.write(diff, stream)
    return path


def machine() -> Profile:
    """Four workers of one program (``spin`` in the second half of the time only), a server, a shell.

    400 samples in 20 s: 300 of the workers (75 each: 45 in ``parse``, of which ``read`` in the kernel has 15,
    and 30 in ``spin``), 80 of the server (60 and 20 in two threads, in a container), 20 of the shell.
    """
    main = frames("<module>", "handle", kind=_LANGUAGE)
    samples: list[Sample] = []

    def add(root: Root, stack: tuple[Frame, ...], times: range, tid: int, container: str = "") -> None:
        comm = root.comm.decode()
        process = Process(root.pid, root.comm, 1, 1000, f"/usr/bin/{comm}", (comm, "--go"), container)
        thread = Thread(root.comm if tid == root.pid else b"pool", tid)
        samples.append(Sample(root, stack, len(times), thread, tuple(times), process))

    for pid in range(100, 104):
        worker = Root(b"worker", pid)
        add(worker, (*main, *frames("parse", kind=_LANGUAGE)), range(0, 9_000, 300), pid)
        read = Frame(KERNEL, "read")
        add(worker, (*main, *frames("parse", kind=_LANGUAGE), read), range(100, 9_100, 600), pid)
        add(worker, (*main, *frames("spin", kind=_LANGUAGE)), range(10_000, 19_000, 300), pid)
    server = Root(b"server", 7)
    add(server, frames("main", "serve"), range(0, 18_000, 300), 7, "web")
    add(server, frames("main", "pool"), range(0, 18_000, 900), 8, "web")
    add(Root(b"sh", 9), frames("main", "eval"), range(0, 20_000, 1_000), 9)
    return replace(profile_of(*samples), duration_s=DURATION_S, command="whole system", notes=("a note",))


def many_stacks(stacks: int, samples: int, *, functions: int = 5_000, depth: int = 25) -> Profile:
    """`samples` samples of just so many distinct stacks, by random walks over a graph of calls; seeded."""
    drawn = random.Random(1)
    names = [
        Frame(_LANGUAGE, f"package.module_{i % 97}.function_{i}", f"module_{i % 97}.py", i + 1)
        for i in range(functions)
    ]
    calls = [drawn.sample(range(functions), 4) for _ in range(functions)]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < stacks:
        at, stack = drawn.randrange(8), []
        for _ in range(drawn.randint(depth // 2, depth + depth // 2)):
            stack.append(at)
            at = calls[at][min(int(drawn.expovariate(1.2)), 3)]
        found[tuple(stack)] = None
    times: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(samples):
        times[number if number < stacks else int(stacks * drawn.random() ** 2)].append(
            drawn.randrange(3_600_000)
        )
    roots = [Root(b"app%d" % (i % 5), 1000 + i) for i in range(40)]
    processes = [Process(root.pid, root.comm, 1) for root in roots]
    return replace(
        profile_of(
            *(
                Sample(
                    roots[number % 40],
                    tuple(map(names.__getitem__, stack)),
                    len(times[number]),
                    Thread(roots[number % 40].comm, roots[number % 40].pid),
                    tuple(sorted(times[number])),
                    processes[number % 40],
                )
                for number, stack in enumerate(found)
            )
        ),
        duration_s=3_600.0,
    )
