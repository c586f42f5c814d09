"""Counts equal stacks and keeps the ledger of what was lost, by process and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from profiler.model import Losses, ProcessLosses, RawSample, Root, Sample
from profiler.significance import Evidence, judge, judge_share
from profiler.stacks.merge import Element
from symbolizers.errors import Reason
from symbolizers.frame import Frame, FrameKind
from symbolizers.process.identity import ProcessId


@dataclass(slots=True)
class _Account:
    root: Root
    samples: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    evidence: Evidence = field(default_factory=Evidence)


_DROPPED = {
    reason: Frame(FrameKind.MARKER, f"[dropped: {reason.value.replace('_', ' ')}]") for reason in Reason
}


class Aggregator:
    """Takes every sample exactly once, as a stack or as a loss. Lifetime: one recording.

    With `keep_dropped`, a loss is a stack too: one frame that says why.
    """

    def __init__(self, *, keep_dropped: bool = False) -> None:
        self._keep_dropped = keep_dropped
        self._stacks: Counter[tuple[Root, tuple[Element, ...]]] = Counter()
        self._accounts: dict[ProcessId, _Account] = {}
        self._notes: dict[ProcessId, list[str]] = {}

    def add(self, sample: RawSample, elements: tuple[Element, ...]) -> None:
        """Counts a finished stack, root first."""
        self._stacks[Root(sample.comm, sample.pid), elements] += 1
        self._account(sample).evidence.add(sample, lost=False)

    def drop(self, sample: RawSample, reason: Reason) -> None:
        """Counts a sample that could not be named."""
        account = self._account(sample)
        account.dropped[reason] += 1
        account.evidence.add(sample, lost=True)
        if self._keep_dropped:
            self._stacks[Root(sample.comm, sample.pid), (_DROPPED[reason],)] += 1

    def note(self, process: ProcessId, text: str) -> None:
        """Keeps something that a person should know of `process`."""
        notes = self._notes.setdefault(process, [])
        if text not in notes:
            notes.append(text)

    def elements(self) -> Iterator[Element]:
        """Every element of every stack, to find out which still need names; with repetitions."""
        for _, elements in self._stacks:
            yield from elements

    def samples(self, names: Mapping[Element, Frame]) -> tuple[Sample, ...]:
        """The stacks with every element named (by `names` unless it is a frame already), merged anew."""
        named: Counter[tuple[Root, tuple[Frame, ...]]] = Counter()
        for (root, elements), count in self._stacks.items():
            frames = tuple(each if isinstance(each, Frame) else names[each] for each in elements)
            named[root, frames] += count
        return tuple(Sample(root, frames, count) for (root, frames), count in named.items())

    def losses(self, *, lost: int) -> Losses:
        """The ledger, and whether the losses matter: processes with most samples first."""
        accounts = self._accounts.values()
        verdicts = judge([(each.dropped.total(), each.samples, each.evidence) for each in accounts])
        dropped: Counter[Reason] = Counter()
        rows = []
        for (process, account), verdict in zip(self._accounts.items(), verdicts, strict=True):
            dropped += account.dropped
            rows.append(
                ProcessLosses(
                    account.root,
                    account.samples,
                    account.samples - account.dropped.total(),
                    dict(account.dropped),
                    "; ".join(self._notes.get(process, ())),
                    verdict,
                )
            )
        rows.sort(key=lambda row: (-row.samples, row.root.pid))
        samples = sum(row.samples for row in rows)
        told = sum(row.samples - row.symbolized for row in rows if row.verdict.significant)
        rest = judge_share(dropped.total() - told + lost, samples + lost)
        return Losses(samples, samples - dropped.total(), dict(dropped), lost, tuple(rows), rest)

    def _account(self, sample: RawSample) -> _Account:
        process = ProcessId.from_start_ns(sample.pid, sample.start_ns)
        root = Root(sample.comm, sample.pid)
        account = self._accounts.setdefault(process, _Account(root))
        account.root = root
        account.samples += 1
        return account
