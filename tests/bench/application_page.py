"""``docs/APPLICATIONS.md``: what was lost of each application's samples, now and before."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

from tests.bench.application_list import Application
from tests.bench.application_record import Figures
from tests.bench.table import NONE, markdown

BEFORE = Path(__file__).with_name("applications_before.json")
"""The figures of an earlier commit, as ``--save`` writes them."""
AT_MOST = 0.01
SIGMAS = 3.0
LEAST_SAMPLES = 1000
OK, TOO_MANY, TOO_FEW = "ok", "**too many**", "too few samples"
HEADER = (
    *("application", "versions", "samples", "dropped", "partial", "dropped + partial, % (at most)"),
    *("reasons", "verdict", "before, % (of samples)", "first reported, %"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One application's row. `failure` says why there are no figures."""

    application: Application
    versions: str = ""
    figures: Figures = field(default_factory=Figures)
    failure: str = ""

    @property
    def verdict(self) -> str:
        """`OK`, or what is wrong."""
        if self.failure:
            return f"**not recorded:** {self.failure}"
        if self.figures.samples < LEAST_SAMPLES:
            return TOO_FEW
        return OK if may_be_at_most(self.figures, AT_MOST) else TOO_MANY


@dataclass(frozen=True, slots=True)
class Before:
    """Figures by application, and the commit that they are of."""

    commit: str = ""
    figures: Mapping[str, Figures] | None = None

    def text(self, name: str) -> str:
        """The per cent that were lost of how many samples; a dash where it is not known."""
        known = (self.figures or {}).get(name)
        if known is None:
            return NONE
        return f"{100 * known.lost / known.samples:.1f} ({known.samples})"


def may_be_at_most(figures: Figures, share: float) -> bool:
    """Whether the loss is what chance makes of a true share of at most `share`, within `SIGMAS`."""
    expected = share * figures.samples
    return figures.lost <= expected + SIGMAS * sqrt(expected * (1 - share))


def upper_bound(figures: Figures) -> float:
    """The largest true share that the loss is within `SIGMAS` of (Wilson's interval)."""
    samples, share, square = figures.samples, figures.lost / figures.samples, SIGMAS * SIGMAS
    spread = SIGMAS * sqrt(share * (1 - share) / samples + square / (4 * samples * samples))
    return (share + square / (2 * samples) + spread) / (1 + square / samples)


def reasons(figures: Figures) -> str:
    """What was lost, by reason, most first."""
    kinds = (("dropped", figures.dropped), ("partial", figures.partial))
    counted = sorted(
        ((count, f"{reason}, {kind}") for kind, losses in kinds for reason, count in losses.items()),
        reverse=True,
    )
    return "; ".join(f"{count} {what}" for count, what in counted) or NONE


def row(outcome: Outcome, before: Before) -> tuple[str, ...]:
    """The cells of one application."""
    name, figures = outcome.application.name, outcome.figures
    told = (outcome.verdict, before.text(name), outcome.application.reported or NONE)
    if not figures.samples:
        return (name, outcome.versions or NONE, *([NONE] * 5), *told)
    lost = f"{100 * figures.lost / figures.samples:.2f} ({100 * upper_bound(figures):.2f})"
    counts = (figures.samples, sum(figures.dropped.values()), sum(figures.partial.values()))
    return (name, outcome.versions, *map(str, counts), lost, reasons(figures), *told)


def table(outcomes: Iterable[Outcome], before: Before) -> str:
    """The table, in Markdown."""
    cells = [[cell.replace("|", "/") for cell in row(outcome, before)] for outcome in outcomes]
    return markdown(HEADER, cells)


def read_before() -> Before:
    """The stored figures; nothing where none are stored."""
    if not BEFORE.exists():
        return Before()
    said = json.loads(BEFORE.read_text())
    return Before(said["commit"], {name: Figures(**numbers) for name, numbers in said["figures"].items()})


def to_json(outcomes: Sequence[Outcome], commit: str) -> str:
    """The figures of a run, for `BEFORE`."""
    figures = {
        outcome.application.name: {
            "samples": outcome.figures.samples,
            "dropped": dict(outcome.figures.dropped),
            "partial": dict(outcome.figures.partial),
        }
        for outcome in outcomes
        if outcome.figures.samples
    }
    return json.dumps({"commit": commit, "machine": machine(), "figures": figures}, indent=1) + "\n"


def machine() -> str:
    """CPUs and kernel."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{os.cpu_count()} CPUs ({models[0] if models else platform.machine()}), Linux {platform.release()}"
    )
