"""The ledger of losses as a recording keeps it: rows of SQLite with figures in JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from profiler.profile.model import Feature, Losses, NativeEnd, ProcessLosses, Root, Verdict
from symbolizers.errors import Reason
from symbolizers.frame import Frame

_Key = TypeVar("_Key", bound=Enum)


def ledger_row(row: ProcessLosses) -> tuple[bytes, int, int, int, int, str]:
    """As in the table ``ledger``."""
    figures = {
        "dropped": _to_values(row.dropped),
        "partial": _to_values(row.partial),
        "native": _to_values(row.native),
        "verdict": _verdict_figures(row.verdict),
        "hit": [list(frame) for frame in row.hit],
        "note": row.note,
    }
    root = row.root
    return (root.comm, root.pid, root.processes, row.samples, row.symbolized, json.dumps(figures))


def losses_text(losses: Losses) -> str:
    """The fact ``losses``: all but the processes."""
    figures = {
        "samples": losses.samples,
        "symbolized": losses.symbolized,
        "lost": losses.lost,
        "dropped": _to_values(losses.dropped),
        "partial": _to_values(losses.partial),
        "rest": _verdict_figures(losses.rest),
    }
    return json.dumps(figures)


def losses_of(text: str, per_process: tuple[ProcessLosses, ...]) -> Losses:
    """From what `losses_text` gave; else raises `ValueError`, `KeyError` or `TypeError`."""
    figures = json.loads(text)
    return Losses(
        samples=_count(figures["samples"]),
        symbolized=_count(figures["symbolized"]),
        dropped=_from_values(Reason, figures["dropped"]),
        lost=_count(figures["lost"]),
        per_process=per_process,
        rest=_verdict(figures["rest"]),
        partial=_from_values(Reason, figures["partial"]),
    )


def process_losses(
    comm: bytes, pid: int, processes: int, samples: int, symbolized: int, text: str
) -> ProcessLosses:
    """From what `ledger_row` gave. Raises as `losses_of` does."""
    figures = json.loads(text)
    return ProcessLosses(
        root=Root(comm, pid, processes),
        samples=samples,
        symbolized=symbolized,
        dropped=_from_values(Reason, figures["dropped"]),
        note=str(figures["note"]),
        verdict=_verdict(figures["verdict"]),
        partial=_from_values(Reason, figures["partial"]),
        hit=tuple(
            Frame(str(kind), str(name), str(file), _count(line)) for kind, name, file, line in figures["hit"]
        ),
        native=_from_values(NativeEnd, figures["native"]),
    )


def _to_values(counts: Mapping[_Key, int]) -> dict[str, int]:
    return {each.value: count for each, count in counts.items()}


def _from_values(kind: type[_Key], counts: Mapping[str, Any]) -> dict[_Key, int]:
    return {kind(value): _count(count) for value, count in counts.items()}


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number of samples")
    return value


def _verdict_figures(verdict: Verdict) -> dict[str, Any]:
    return {
        "share": verdict.share,
        "interval": [verdict.low, verdict.high],
        "too_many": verdict.too_many,
        "unlike": [feature.value for feature in verdict.unlike],
    }


def _verdict(figures: Mapping[str, Any]) -> Verdict:
    share, low, high = (float(each) for each in (figures["share"], *figures["interval"]))
    if not all(0 <= each <= 1 for each in (share, low, high)):
        raise ValueError(f"{share}, {low} and {high} are no shares")
    return Verdict(share, low, high, bool(figures["too_many"]), tuple(map(Feature, figures["unlike"])))
