"""A recording's figures: the summary sentence and the ``--stats`` file, from one ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable

from profiler.export.text import counted_text, frame_text, root_text, warnings
from profiler.profile.model import Losses, NativeEnd, ProcessLosses, Profile
from symbolizers.errors import Reason


def summary(losses: Losses) -> str:
    """One sentence: samples, symbolized, partial and dropped by reason, lost."""
    parts = (
        f"{losses.symbolized} symbolized",
        *([counted_text(losses.partial, "partial", "")] if any(losses.partial.values()) else []),
        counted_text(losses.dropped, "dropped", ""),
        f"{losses.lost} lost",
    )
    return f"{losses.samples} samples: {', '.join(parts)}"


def to_json(profile: Profile) -> str:
    """The contents of a ``--stats`` file: keys and units as in docs/RECORD.md."""
    losses = profile.losses
    warned = warnings(losses)
    document = {
        "samples": losses.samples,
        "symbolized": losses.symbolized,
        "partial": {reason.value: losses.partial.get(reason, 0) for reason in Reason},
        "dropped": {reason.value: losses.dropped.get(reason, 0) for reason in Reason},
        "lost": losses.lost,
        "native_stacks": _native(losses.per_process),
        "per_process": [
            {
                "process": root_text(row.root),
                "pid": row.root.pid or None,
                "processes": row.root.processes or 1,
                "samples": row.samples,
                "symbolized": row.symbolized,
                "partial": {reason.value: count for reason, count in row.partial.items()},
                "dropped": {reason.value: count for reason, count in row.dropped.items()},
                "dropped_share": round(row.verdict.share, 6),
                "dropped_share_95": [round(row.verdict.low, 6), round(row.verdict.high, 6)],
                "significant": row.verdict.significant,
                "unlike": [feature.value for feature in row.verdict.unlike],
                "hit": [frame_text(function) for function in row.hit],
                "native_stacks": _native([row]),
                "note": row.note,
            }
            for row in losses.per_process
        ],
        "significant": bool(warned),
        "warnings": warned,
        "duration_s": round(profile.duration_s, 3),
        "frequency_hz": profile.frequency_hz,
        "cpus": profile.cpus,
        "event": profile.event,
        "first_sample_s": profile.first_sample_s,
        "steps_s": {name: round(took_s, 3) for name, took_s in profile.steps_s.items()},
        "profiler_cpu_s": round(profile.profiler_cpu_s, 3),
        "profiler_max_rss_bytes": profile.profiler_max_rss_bytes,
        "notes": list(profile.notes),
    }
    return json.dumps(document, indent=2) + "\n"


def _native(rows: Iterable[ProcessLosses]) -> dict[str, int]:
    """How many native stacks ended in which way."""
    rows = tuple(rows)
    return {end.value: sum(row.native.get(end, 0) for row in rows) for end in NativeEnd}
