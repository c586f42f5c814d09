"""The bench's measurements as Markdown: one row a cell, one column a metric; medians, with ranges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from tests.bench.depth import DepthRow
from tests.bench.measure import Cell, Measurement
from tests.bench.targets import Workload

NONE = "-"
MB = 1_000_000
REASON_LENGTH = 90


@dataclass(frozen=True, slots=True)
class Row:
    """All measurements of one cell, and the target's CPU seconds alone, by round."""

    cell: Cell
    measurements: tuple[Measurement, ...]
    alone_cpu_s: dict[int, float]


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
    return f"{row.cell.peer.name}, {row.cell.hz} Hz" if row.cell.peer else "nobody"


def running_percent(row: Row) -> str:
    """CPU in per cent of one core, while the target worked."""
    runs = [entry.running for entry in row.measurements if entry.running]
    return spread((100 * run.cpu_ns / run.wall_ns for run in runs), 2)


def whole_cpu_s(row: Row) -> str:
    """CPU seconds from start to exit."""
    whole = (entry.whole_cpu_s for entry in row.measurements)
    return spread((cpu_s for cpu_s in whole if cpu_s is not None), 2)


def pss_mb(row: Row) -> str:
    """What all processes of the profiler hold when the target has done its work."""
    return spread((entry.running.pss_bytes / MB for entry in row.measurements if entry.running), 0)


def first_sample_s(row: Row) -> str:
    """Seconds from the start of the profiler's process to its first sample."""
    seen = [entry.seen for entry in row.measurements if entry.seen]
    return spread((one.first_sample_s for one in seen if one.first_sample_s is not None), 2)


def target_cpu_s(row: Row) -> str:
    """What the target's fixed work took it, by its own clock."""
    return spread((entry.truth.total_cpu_s for entry in row.measurements if entry.truth), 2)


def target_ratio(row: Row) -> str:
    """The same, divided by that of the same round's run which nobody watched."""
    if row.cell.peer is None:
        return NONE
    pairs = [
        (entry.truth.total_cpu_s, row.alone_cpu_s[entry.round])
        for entry in row.measurements
        if entry.truth and entry.round in row.alone_cpu_s
    ]
    return spread((watched / alone for watched, alone in pairs), 3)


def sample_ratio(row: Row) -> str:
    """Samples in the functions ÷ (CPU seconds in them, by the target's own clock, x the rate)."""
    seen = [(entry.seen, entry.truth) for entry in row.measurements if entry.seen and entry.truth]
    return spread((one.samples / (truth.work_cpu_s * row.cell.hz) for one, truth in seen), 2)


def split_error(row: Row) -> str:
    """The largest error of a function's share over all rounds together, in points, and its sigma."""
    seen = [
        (one.seen.split, one.truth) for one in row.measurements if one.seen and one.seen.split and one.truth
    ]
    samples = sum(sum(split.values()) for split, _ in seen)
    if not samples:
        return NONE
    work_s = sum(truth.work_cpu_s for _, truth in seen)
    errors = []
    for function in row.cell.workload.functions:
        true = sum(truth.cpu_s[function] for _, truth in seen) / work_s
        shown = sum(split.get(function, 0) for split, _ in seen) / samples
        errors.append((abs(shown - true), sqrt(true * (1 - true) / samples)))
    error, sigma = max(errors)
    return f"{100 * error:.1f} (sigma {100 * sigma:.1f})"


def notes(row: Row) -> str:
    """Why measurements are missing, if some are, and how many."""
    return reasons([entry.failure for entry in row.measurements if entry.failure])


COLUMNS = (
    Column("profiler", who),
    Column("its CPU while running, % of a core", running_percent),
    Column("its CPU, start to exit, s", whole_cpu_s),
    Column("PSS of its processes, MB", pss_mb),
    Column("start to first sample, s", first_sample_s),
    Column("target's own CPU, s", target_cpu_s),
    Column("÷ watched by nobody", target_ratio),
    Column("samples ÷ (CPU s · Hz)", sample_ratio),
    Column("split error, points", split_error),
    Column("not measured", notes),
)


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def workload_table(workload: Workload, cells: Sequence[Cell], measurements: Sequence[Measurement]) -> str:
    """The section of one workload."""
    own = [entry for entry in measurements if entry.cell.workload is workload]
    alone = {entry.round: entry.truth.total_cpu_s for entry in own if entry.cell.peer is None and entry.truth}
    rows = [
        Row(cell, tuple(entry for entry in own if entry.cell == cell), alone)
        for cell in cells
        if cell.workload is workload
    ]
    table = markdown(
        [column.title for column in COLUMNS], [[column.text(row) for column in COLUMNS] for row in rows]
    )
    return f"### {workload.title}\n\n{table}\n"


def depth_table(rows: Sequence[DepthRow]) -> str:
    """The section of the eBPF program's run time."""
    lines = [
        [
            row.workload.title,
            f"{row.depth}{', all different' if row.different else ''}",
            spread(row.run_us, 1),
            reasons(row.failures) or NONE,
        ]
        for row in rows
    ]
    header = ["target", "frames deep", "µs a run", "not measured"]
    return f"### The eBPF program's run time\n\n{markdown(header, lines)}\n"
