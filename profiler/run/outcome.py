"""What a recording found, out of its accounts: samples with names, and the ledger of what was lost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import chain

from profiler.profile.frames import with_line
from profiler.profile.model import Losses, Process, ProcessLosses, Root, Sample, Thread
from profiler.profile.view import View
from profiler.profile.work import MARKERS, marker_of, once
from profiler.run.accounts import Account
from profiler.run.significance import judge, judge_share
from profiler.run.stacks import Element, Inner, RunningLine, address_in
from symbolizers.errors import Reason
from symbolizers.frame import Frame

_SHOWN_HIT = 3


def samples_of(
    accounts: Collection[Account],
    elements: Sequence[Element],
    names: Mapping[Element, Frame],
    thread_names: Mapping[tuple[int, int], str],
    view: View,
    inlined: Mapping[Element, tuple[Frame, ...]],
    *,
    containers: bool,
) -> tuple[Sample, ...]:
    """The stacks with every element named (by `names` unless it is a frame already), merged anew.

    `elements` by number. `thread_names`: what languages call threads, by pid and tid. The `view` says whether
    lines and hidden frames show; nothing else in it counts. `inlined`: frames on top of an element's.
    """
    frames_of = cache(lambda number: _frames_of(elements[number], names, inlined, view))
    named: Counter[tuple[Root, int, Thread | None, tuple[Frame, ...]]] = Counter()
    # A number stands for each process: to hash its command line for every stack takes long.
    processes: dict[Process | None, int] = {}
    for account in accounts:
        root = account.root._replace(container=account.description.container if containers else "")
        process = processes.setdefault(account.process(), len(processes))
        for tid, stack, samples, _ in account.all_stacks():
            frames = tuple(once(tuple(chain.from_iterable(map(frames_of, stack))), MARKERS))
            comm = account.threads.get(tid)
            name = thread_names.get((account.pid, tid), "")
            thread = Thread(comm, tid, name) if comm is not None else None
            named[root, process, thread, frames] += samples
    by_number = tuple(processes)
    return tuple(
        Sample(root, frames, count, thread, process=by_number[number])
        for (root, number, thread, frames), count in named.items()
    )


def losses_of(accounts: Collection[Account], *, lost: int) -> Losses:
    """The ledger, and whether the losses matter: processes with most samples first."""
    verdicts = judge([(each.lacking(), each.samples, each.evidence) for each in accounts])
    dropped: Counter[Reason] = Counter()
    partial: Counter[Reason] = Counter()
    rows = []
    lacking = 0
    for account, verdict in zip(accounts, verdicts, strict=True):
        dropped += account.dropped
        partial += account.partial
        lacking += 0 if verdict.significant else account.lacking()
        rows.append(
            ProcessLosses(
                account.root,
                account.samples,
                account.samples - account.dropped.total() - account.partial.total(),
                dict(account.dropped),
                "; ".join(account.notes),
                verdict,
                dict(account.partial),
                tuple(function for function, _ in account.hit.most_common(_SHOWN_HIT)),
                dict(account.native),
            )
        )
    rows.sort(key=lambda row: (-row.samples, row.root.pid))
    samples = sum(row.samples for row in rows)
    rest = judge_share(lacking + lost, samples + lost)
    whole = samples - dropped.total() - partial.total()
    return Losses(samples, whole, dict(dropped), lost, tuple(rows), rest, dict(partial))


def _frames_of(
    element: Element,
    names: Mapping[Element, Frame],
    inlined: Mapping[Element, tuple[Frame, ...]],
    view: View,
) -> tuple[Frame, ...]:
    """What an element shows as: none if it is hidden, several if functions are inlined there."""
    address = None if view.native else address_in(element)
    marker = marker_of(names[address]) if address is not None else None
    if marker is not None:
        return (marker,)
    if isinstance(element, Inner):
        return _frames_of(element.of, names, inlined, view) if view.native else ()
    if isinstance(element, RunningLine):
        return (with_line(element.frame, element.line) if view.lines else element.frame,)
    if isinstance(element, Frame):
        return (with_line(element, 0) if view.lines else element,)
    return (names[element], *inlined.get(element, ()))
