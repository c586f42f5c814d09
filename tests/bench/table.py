"""The bench's measurements as Markdown: one row a cell, one column a metric; medians, with ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median

from tests.bench import peers
from tests.bench.measure import NOBODY, Cell, Measurement
from tests.bench.targets import BURST_SHARE, BY_NAME, Workload

NONE = "-"
MB = 1_000_000
NS = 1_000_000_000
REASON_LENGTH = 90


@dataclass(frozen=True, slots=True)
class Row:
    """All measurements of one cell, and the target's CPU seconds alone, by round."""

    cell: Cell
    measurements: tuple[Measurement, ...]
    alone_cpu_s: dict[int, float]

    @property
    def workload(self) -> Workload:
        return BY_NAME[self.cell.workload]


@dataclass(frozen=True, slots=True)
class Column:
    """A metric: its title, and the text that a row shows. Add one to `COLUMNS`."""

    title: str
    text: Callable[[Row], str]


def spread(values: Iterable[float], digits: int) -> str:
    """``median (least to most)``."""
    numbers = sorted(values)
    if not numbers:
        return NONE
    middle, least, most = (f"{number:.{digits}f}" for number in (median(numbers), numbers[0], numbers[-1]))
    return middle if least == most else f"{middle} ({least} to {most})"


def reasons(failures: Sequence[str]) -> str:
    """Each different failure once, cut to a cell's size, with how often it came."""
    texts = [
        failure if len(failure) <= REASON_LENGTH else failure[:REASON_LENGTH] + "…"
        for failure in (text.replace("|", "/") for text in failures)
    ]
    counts = Counter(texts)
    return "; ".join(f"{count} x {text}" if count > 1 else text for text, count in counts.items())


def who(row: Row) -> str:
    """The profiler and its rate."""
    if row.cell.profiler == NOBODY:
        return NOBODY
    return f"{peers.BY_NAME[row.cell.profiler].title}, {row.cell.hz} Hz"


def running_percents(row: Row) -> list[float]:
    """CPU in per cent of one core, while the target worked, by measurement."""
    costs = [entry.cost for entry in row.measurements if entry.cost]
    return [100 * cost.running_cpu_ns / cost.running_ns for cost in costs]


def running_percent(row: Row) -> str:
    """The same."""
    return spread(running_percents(row), 2)


def whole_cpu_s(row: Row) -> str:
    """CPU seconds from start to exit, with what makes stacks of the recording."""
    return spread((entry.cost.whole_cpu_ns / NS for entry in row.measurements if entry.cost), 2)


def us_a_sample(row: Row) -> str:
    """CPU while the target worked, divided by the samples of the target."""
    pairs = [(entry.cost, entry.seen) for entry in row.measurements if entry.cost and entry.seen]
    return spread((cost.running_cpu_ns / 1000 / seen.samples for cost, seen in pairs if seen.samples), 1)


def pss_mbs(row: Row) -> list[float]:
    """The most that all processes of the profiler held at a time, by measurement."""
    return [entry.cost.most_pss_bytes / MB for entry in row.measurements if entry.cost]


def cold_s(row: Row) -> str:
    """Seconds from the start of the profiler's process to its first sample, with an empty cache."""
    return spread((entry.cold_s for entry in row.measurements if entry.cold_s is not None), 2)


def warm_s(row: Row) -> str:
    """The same with what earlier runs have kept."""
    seen = [entry.seen for entry in row.measurements if entry.seen]
    return spread((one.first_sample_s for one in seen if one.first_sample_s is not None), 2)


def target_cpu_s(row: Row) -> str:
    """What the target's fixed work took it, by its own clock."""
    return spread((entry.truth.total_cpu_s for entry in row.measurements if entry.truth), 2)


def target_ratio(row: Row) -> str:
    """The same, divided by that of the same round's run which nobody watched."""
    if row.cell.profiler == NOBODY or not row.workload.cpus:
        return NONE
    pairs = [
        (entry.truth.total_cpu_s, row.alone_cpu_s[entry.round])
        for entry in row.measurements
        if entry.truth and entry.round in row.alone_cpu_s
    ]
    return spread((watched / alone for watched, alone in pairs), 3)


def sample_ratio(row: Row) -> str:
    """Samples in the functions ÷ (CPU seconds in them, by the target's own clock, x the rate).

    Of the whole target where the profiler can't tell functions apart.
    """
    ratios = []
    for entry in row.measurements:
        if entry.seen and entry.seen.samples is not None and entry.truth and entry.truth.cpu_s:
            cpu_s = entry.truth.work_cpu_s if entry.seen.split else entry.truth.total_cpu_s
            ratios.append(entry.seen.samples / (cpu_s * row.cell.hz))
    return spread(ratios, 2)


def split_error(row: Row) -> str:
    """The largest error of a function's share over all rounds together, in points, and its sigma."""
    seen = [
        (one.seen.split, one.truth) for one in row.measurements if one.seen and one.seen.split and one.truth
    ]
    samples = sum(sum(split.values()) for split, _ in seen)
    if not samples or len(row.workload.functions) < 2:
        return NONE
    work_s = sum(truth.work_cpu_s for _, truth in seen)
    errors = []
    for function in row.workload.functions:
        true = sum(truth.cpu_s[function] for _, truth in seen) / work_s
        shown = sum(split.get(function, 0) for split, _ in seen) / samples
        errors.append((abs(shown - true), sqrt(true * (1 - true) / samples)))
    error, sigma = max(errors)
    return f"{100 * error:.1f} (sigma {100 * sigma:.1f})"


def phase_error(row: Row) -> str:
    """Of programs that run at intervals: the samples of each run of each, against its CPU clock.

    The root of the mean square of the errors, in sigmas of samples at independent instants: 1 is chance.
    """
    if not row.workload.are_processes:
        return NONE
    squares = []
    for entry in row.measurements:
        if entry.seen and entry.seen.split and entry.truth:
            for name, cpu_s in entry.truth.cpu_s.items():
                due = cpu_s * row.cell.hz
                squares.append((entry.seen.split.get(name, 0) - due) ** 2 / (due * (1 - BURST_SHARE)))
    return f"{sqrt(fmean(squares)):.2f} (most {sqrt(max(squares)):.1f})" if squares else NONE


def lost(row: Row) -> str:
    """Samples that found no room."""
    seen = [entry.seen for entry in row.measurements if entry.seen]
    return spread((one.lost for one in seen if one.lost is not None), 0)


def dropped(row: Row) -> str:
    """Samples without a stack."""
    seen = [entry.seen for entry in row.measurements if entry.seen]
    return spread((one.dropped for one in seen if one.dropped is not None), 0)


def notes(row: Row) -> str:
    """Why measurements are missing, if some are, and how many."""
    return reasons([entry.failure for entry in row.measurements if entry.failure]) or NONE


COLUMNS = (
    Column("profiler", who),
    Column("its CPU while running, % of a core", running_percent),
    Column("its CPU in all, s", whole_cpu_s),
    Column("CPU µs a sample", us_a_sample),
    Column("PSS, MB", lambda row: spread(pss_mbs(row), 1)),
    Column("first sample, cold, s", cold_s),
    Column("first sample, warm, s", warm_s),
    Column("target's own CPU, s", target_cpu_s),
    Column("÷ watched by nobody", target_ratio),
    Column("samples ÷ (CPU s · Hz)", sample_ratio),
    Column("split error, points", split_error),
    Column("phase error, sigmas", phase_error),
    Column("lost", lost),
    Column("dropped", dropped),
    Column("not measured", notes),
)
SELDOM = {"phase error, sigmas", "not measured"}
"""Columns that are left out of a table in which no row has them."""


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def rows_of(workload: Workload, measurements: Sequence[Measurement]) -> list[Row]:
    """In the order of the profilers."""
    own = [entry for entry in measurements if entry.cell.workload == workload.name]
    alone = {
        entry.round: entry.truth.total_cpu_s for entry in own if entry.cell.profiler == NOBODY and entry.truth
    }
    order = [NOBODY, *peers.BY_NAME]
    cells = sorted({entry.cell for entry in own}, key=lambda cell: (order.index(cell.profiler), cell.hz))
    return [Row(cell, tuple(entry for entry in own if entry.cell == cell), alone) for cell in cells]


def workload_table(workload: Workload, measurements: Sequence[Measurement]) -> str:
    """The section of one workload; empty where nothing of it was measured."""
    rows = rows_of(workload, measurements)
    if not rows:
        return ""
    columns = [[column.title, *(column.text(row) for row in rows)] for column in COLUMNS]
    shown = [column for column in columns if column[0] not in SELDOM or set(column[1:]) != {NONE}]
    header, *lines = zip(*shown, strict=True)
    return f"### {workload.title}\n\n{markdown(header, lines)}\n"
