"""A recording's figures: the summary sentence and the ``--stats`` file, from one ledger."""

from __future__ import annotations

import json

from profiler.export.text import root_text, warnings
from profiler.profile.model import Losses, Profile
from symbolizers.errors import Reason


def summary(losses: Losses) -> str:
    """One sentence: samples, symbolized, dropped by reason, lost."""
    dropped = losses.samples - losses.symbolized
    reasons = ", ".join(
        f"{reason.value} {count}" for reason in Reason if (count := losses.dropped.get(reason))
    )
    return (
        f"{losses.samples} samples: {losses.symbolized} symbolized, {dropped} dropped"
        f"{f' ({reasons})' if reasons else ''}, {losses.lost} lost"
    )


def to_json(profile: Profile) -> str:
    """The contents of a ``--stats`` file: keys and units as in the README."""
    losses = profile.losses
    warned = warnings(losses)
    document = {
        "samples": losses.samples,
        "symbolized": losses.symbolized,
        "dropped": {reason.value: losses.dropped.get(reason, 0) for reason in Reason},
        "lost": losses.lost,
        "per_process": [
            {
                "process": root_text(row.root),
                "pid": row.root.pid,
                "samples": row.samples,
                "symbolized": row.symbolized,
                "dropped": {reason.value: count for reason, count in row.dropped.items()},
                "dropped_share": round(row.verdict.share, 6),
                "dropped_share_95": [round(row.verdict.low, 6), round(row.verdict.high, 6)],
                "significant": row.verdict.significant,
                "unlike": [feature.value for feature in row.verdict.unlike],
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
        "profiler_cpu_s": round(profile.profiler_cpu_s, 3),
        "profiler_max_rss_bytes": profile.profiler_max_rss_bytes,
        "notes": list(profile.notes),
    }
    return json.dumps(document, indent=2) + "\n"
