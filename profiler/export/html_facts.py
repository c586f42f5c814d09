"""What every page says of a recording beside its picture, and where the colours of the picture come from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files

from profiler.export.text import counted_text, losses_text, printable
from profiler.profile.model import Profile, Root

_RULE = re.compile(r"\.([a-z]+)[0-9] rect \{ fill: (#[0-9a-f]{6}); \}")


def facts(profile: Profile) -> tuple[tuple[str, str], ...]:
    """What was recorded, where, when, how, and what of it was lost: names and texts."""
    return (
        ("recorded", printable(profile.command) or "CPU profile"),
        ("host", printable(profile.host) or "unknown"),
        ("started", printable(profile.started_at).replace("T", " ", 1)),
        ("for", f"{profile.duration_s:,.1f} s at {profile.frequency_hz:,} Hz"),
        ("CPUs", f"{profile.cpus:,}"),
        ("event", printable(profile.event)),
        ("samples", losses_text(profile.losses)),
        ("pidflame itself", f"{profile.profiler_cpu_s:,.1f} s of CPU time"),
    )


def process_lines(profile: Profile) -> Mapping[Root, list[str]]:
    """What is to be said about the losses of each process."""
    lines: defaultdict[Root, list[str]] = defaultdict(list)
    for row in profile.losses.per_process:
        for counts, what in ((row.partial, "partial"), (row.dropped, "dropped")):
            if any(counts.values()):
                lines[row.root].append(counted_text(counts, what))
        if row.note:
            lines[row.root].append(printable(row.note))
    return lines


def colours(style_sheet: str) -> Mapping[str, list[str]]:
    """The colours of each kind of box in a style sheet of pictures, those for light before those for dark."""
    sheet = files("profiler.export").joinpath(style_sheet).read_text(encoding="utf-8")
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, colour in _RULE.findall(sheet):
        found[name].append(colour)
    return found
