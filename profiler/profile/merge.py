"""Several recordings as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from profiler.profile.model import Losses, Profile, Sample
from profiler.profile.places import by_frame
from symbolizers.errors import Reason


def merged(profiles: Sequence[Profile]) -> Profile:
    """The samples and losses of all `profiles`, of which there is one at least.

    Equal stacks count together. The duration is that of all, and the rest is as in the first one. Times stay
    where there is one recording: those of several have no common start.
    """
    if len(profiles) == 1:
        return profiles[0]
    found: dict[tuple[object, ...], Sample] = {}
    for profile in profiles:
        for sample in profile.samples:
            key = (sample.root, sample.thread, sample.frames)
            known = found.get(key)
            count = sample.count + (known.count if known is not None else 0)
            found[key] = replace(sample, count=count, times_ms=())
    return replace(
        profiles[0],
        samples=tuple(found.values()),
        losses=_losses([profile.losses for profile in profiles]),
        duration_s=sum(profile.duration_s for profile in profiles),
        places=by_frame(item for profile in profiles for item in profile.places.items()),
        notes=tuple(dict.fromkeys(note for profile in profiles for note in profile.notes)),
    )


def _losses(all_losses: Sequence[Losses]) -> Losses:
    dropped: Counter[Reason] = Counter()
    partial: Counter[Reason] = Counter()
    for each in all_losses:
        dropped.update(each.dropped)
        partial.update(each.partial)
    return Losses(
        samples=sum(each.samples for each in all_losses),
        symbolized=sum(each.symbolized for each in all_losses),
        dropped=dict(dropped),
        lost=sum(each.lost for each in all_losses),
        per_process=tuple(row for each in all_losses for row in each.per_process),
        rest=max((each.rest for each in all_losses), key=lambda verdict: verdict.share),
        partial=dict(partial),
    )
