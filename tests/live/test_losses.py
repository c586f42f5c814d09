"""Losses whose truth is known: the ledger is right to the sample, and says whether they matter."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from profiler.capture.kernel_source import KernelSource
from profiler.capture.records import RawSample, Record, Repeated
from profiler.capture.source import Sampling
from profiler.capture.wire import WalkStatus
from profiler.profile.model import Feature, Profile, Root
from profiler.run.request import Recording as Wanted
from profiler.run.session import Session
from symbolizers.asker import Asker, Workers
from symbolizers.errors import Reason
from symbolizers.frame import ADDRESS_MASK
from tests.support.live.harness import MOST_SIGMA, Recorded, Recording, Target, target, workload

HZ = 250
DROPPED = "[dropped: would fault]"


class Overheard(KernelSource):
    """The kernel's samples, and a copy of all of them."""

    def __init__(self, sampling: Sampling) -> None:
        super().__init__(sampling)
        self.samples: list[RawSample] = []

    def drain(self) -> Sequence[Record]:
        records = super().drain()
        for record in records:
            if isinstance(record, RawSample):
                self.samples.append(record)
            elif isinstance(record, Repeated):
                self.samples += [record.sample()] * len(record.taken)
        return records


def recorded_here(running: Target) -> tuple[Profile, list[RawSample], dict[str, Any]]:
    """The whole burning of a target: the profile, what the kernel captured, and what the target says."""
    pid = running.process.pid
    sampling = Sampling(HZ, targets=(pid,))
    truth: dict[str, Any] = {}
    wanted = Wanted(sampling, None, "losses", time.monotonic(), keep_dropped=True)
    asker = Asker(Workers())
    with closing(asker), closing(Overheard(sampling)) as source:
        session = Session(wanted, source, asker)

        def end() -> None:
            truth.update(running.truth())
            session.stop()

        session.prepare()
        session.start()
        session.preload()
        running.go()
        ending = threading.Thread(target=end)
        ending.start()
        profile = session.run()
        ending.join()
        return profile, source.samples, truth


def showing(profile: Profile, name: str) -> int:
    """Samples with a frame whose name starts with `name`: a name that had a page away is long."""
    return sum(
        sample.count
        for sample in profile.samples
        if any(frame.name.startswith(name) for frame in sample.frames)
    )


def assert_share(lost: int, samples: int, truth: Mapping[str, Any]) -> None:
    """The share of lost samples is that of the CPU time of what could not be named."""
    share = truth["cpu_s"]["away"] / truth["total_cpu_s"]
    assert abs(lost / samples - share) <= MOST_SIGMA * math.sqrt(share * (1 - share) / samples)


def test_the_ledger_is_right_to_the_sample() -> None:
    """What was captured says which function each sample is of, whether or not its name could be read."""
    with target(*workload("away.py", "--away")) as running:
        profile, captured, truth = recorded_here(running)
    name_at = {address: name for name, address in truth["addresses"].items()}
    seen: Counter[str | None] = Counter()
    for sample in captured:
        assert sample.walk_status == WalkStatus.COMPLETE
        names = [name_at.get(frame.address & ADDRESS_MASK) for frame in sample.interpreter]
        seen[next((name for name in names if name), None)] += 1
    assert min(seen["kept"], seen["away"], seen["returns"]) > 50, seen

    (row,) = profile.losses.per_process
    assert profile.losses.lost == 0
    assert row.root == Root(b"python3", running.process.pid)
    assert (row.samples, row.dropped) == (len(captured), {Reason.WOULD_FAULT: seen["away"]})
    # the page that came back brought the names of all samples that waited for it
    assert {name: showing(profile, name) for name in ("kept", "returns", "away", DROPPED)} == {
        "kept": seen["kept"],
        "returns": seen["returns"],
        "away": 0,
        DROPPED: seen["away"],
    }
    assert sum(stack.count for stack in profile.samples) == len(captured)
    # and it is told what that means
    assert row.verdict.share == seen["away"] / len(captured)
    assert_share(seen["away"], len(captured), truth)
    assert row.verdict.too_many
    assert Feature.FUNCTION in row.verdict.unlike
    assert not profile.losses.rest.significant


def recorded_outside(folder: Path, *options: str, away: bool) -> tuple[Recorded, dict[str, Any]]:
    with target(*workload("away.py", *(["--away"] if away else []))) as running:
        recording = Recording(folder, ["-F", str(HZ), "-p", str(running.process.pid), *options])
        running.go()
        truth = running.truth()
        recorded = recording.finish()
    assert recorded.exit_code == 0, recorded.said
    return recorded, truth


def said_last(recorded: Recorded) -> list[str]:
    return [line for line in recorded.said.splitlines() if line.strip()][-2:]


def test_kept_drops_have_their_true_width_and_are_warned_of(tmp_path: Path) -> None:
    recorded, truth = recorded_outside(tmp_path, "--keep-dropped", away=True)
    stats = recorded.stats
    (row,) = stats["per_process"]
    total = recorded.stacks.total()
    assert total == stats["samples"] == stats["symbolized"] + stats["dropped"]["would_fault"]
    marked = recorded.where(lambda stack: stack[1:] == (DROPPED,) and stack[0] == row["process"])
    assert marked == stats["dropped"]["would_fault"] == row["dropped"]["would_fault"]
    assert_share(marked, total, truth)
    low, high = row["dropped_share_95"]
    assert low < row["dropped_share"] < high
    assert abs(row["dropped_share"] - marked / total) < 1e-6
    assert row["significant"]
    assert stats["significant"]
    (warning,) = stats["warnings"]
    assert f"{row['process']}'s samples were dropped (would_fault)" in warning
    assert said_last(recorded)[0] == f"warning: {warning}"
    assert said_last(recorded)[1].endswith(" 0 lost")


def test_without_the_option_drops_are_counted_only(tmp_path: Path) -> None:
    recorded, _ = recorded_outside(tmp_path, away=True)
    recorded.accounted()
    assert recorded.stats["dropped"]["would_fault"] > 100
    assert recorded.where(lambda stack: "dropped" in stack[-1]) == 0


def test_without_a_loss_nothing_is_warned_of(tmp_path: Path) -> None:
    recorded, _ = recorded_outside(tmp_path, "--keep-dropped", away=False)
    recorded.accounted()
    assert recorded.stats["symbolized"] > 500
    assert not recorded.stats["significant"]
    assert recorded.stats["warnings"] == []
    assert "warning" not in recorded.said
