"""What the bench concludes from its measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import page, results, slowdown
from tests.bench.measure import NOBODY, Cell, Cost, Measurement, measure
from tests.bench.peer import Observation, Window, count_functions, told
from tests.bench.peers import Perf
from tests.bench.results import Machine, Results
from tests.bench.table import phase_error, rows_of, sample_ratio, split_error, us_a_sample, workload_table
from tests.bench.targets import BY_NAME, INTERVALS, PYTHON, TWENTY, Truth, Workload
from tests.support.page_sections import has

COST = Cost(
    running_cpu_ns=30_000_000,
    running_ns=6_000_000_000,
    recording_cpu_ns=200_000_000,
    whole_cpu_ns=300_000_000,
    most_pss_bytes=45_000_000,
)
TRUTH = Truth((), {"heavy_share": 3.0, "medium_share": 2.0, "light_share": 1.0}, 6.1)
SEEN = Observation(120, {"heavy_share": 66, "medium_share": 36, "light_share": 18}, 0.4, 0, 1)


def measured(workload: Workload, profiler: str, hz: int) -> Measurement:
    cpu_s = dict(zip(workload.functions, TRUTH.cpu_s.values(), strict=True))
    split = dict(zip(workload.functions, SEEN.split.values(), strict=True))
    cell = Cell(workload.name, profiler, hz)
    return Measurement(cell, 1, replace(TRUTH, cpu_s=cpu_s), COST, replace(SEEN, split=split))


ALL = (
    Measurement(Cell("python", NOBODY, 0), 1, replace(TRUTH, total_cpu_s=6.0)),
    *(
        measured(workload, profiler, hz)
        for workload in (PYTHON, TWENTY)
        for profiler, hz in (("pidflame", 20), ("pidflame", 100), ("py-spy", 100))
    ),
    Measurement(Cell("python", "bcc", 100), 0, failure="no headers | none"),
)
RUN = Results(Machine("2026-11-29", 2, "a CPU", "6.18"), 1, 6.0, ALL)


def test_figures_of_a_row() -> None:
    nobody, low, *_ = rows_of(PYTHON, ALL)
    assert nobody.cell.profiler == NOBODY
    assert us_a_sample(low) == "250.0"
    assert sample_ratio(low) == "1.00"
    assert split_error(low) == "5.0 (sigma 4.6)"
    assert phase_error(low) == "-"


def test_a_profiler_that_names_no_function_is_held_against_the_whole_target() -> None:
    unnamed = replace(measured(PYTHON, "perf", 100), seen=Observation(122, {}))
    (row,) = rows_of(PYTHON, [unnamed])
    assert sample_ratio(row) == "0.20"


def test_phase_error_is_in_sigmas() -> None:
    truth = Truth((), {"burst-50": 5.0, "burst-10": 5.0}, 10.0)
    seen = Observation(228, {"burst-50": 100, "burst-10": 128})
    cell = Cell(INTERVALS.name, "pidflame", 20)
    (row,) = rows_of(INTERVALS, [Measurement(cell, 1, truth, COST, seen)])
    assert phase_error(row) == "2.21 (most 3.1)"  # 28 / sqrt(100 * 0.8) of one, nothing of the other


def test_a_table_says_why_a_row_is_empty() -> None:
    assert workload_table(PYTHON, ALL).splitlines()[7].endswith("| no headers / none |")
    assert "not measured" not in workload_table(TWENTY, ALL)
    assert workload_table(INTERVALS, ALL) == ""


@pytest.mark.parametrize("profiler", [NOBODY, "pidflame"])
def test_a_target_that_fails_is_one_measurement_lost(profiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(PYTHON, command=("false",))
    monkeypatch.setitem(BY_NAME, PYTHON.name, broken)
    cell = Cell(PYTHON.name, profiler, 20)
    assert measure(cell, 1, 10, ()) == Measurement(cell, 1, failure="a target ended before its work was done")


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    RUN.keep(tmp_path / "run.json")
    assert results.read(tmp_path / "run.json") == RUN


def test_readme_has_the_sentence(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("Before.\n\n<!-- cost -->\nOld.\n<!-- end of cost -->\n")
    page.publish(page.parts(RUN), [readme])
    assert "took 0.5 % of a core beside a busy Python and 0.5 % beside twenty" in readme.read_text()
    assert "45 MB" in readme.read_text()
    assert page.cost_sentence(replace(RUN, measurements=ALL[:2])) == ""


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("README.md", page.COST),
        *(
            ("docs/BENCHMARKS.md", title)
            for title in (
                *(page.PROFILERS, slowdown.TITLE, "idle", "one sample", "code objects"),
                *("tables", "files", "flamegraph.pl", "a recording"),
            )
        ),
    ],
)
def test_pages_have_a_place_for_each_part(name: str, title: str) -> None:
    assert has(Path(__file__).parents[2] / name, title)


def test_interval_is_students() -> None:
    mean, half = slowdown.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert half == pytest.approx(2.776 * 2.5**0.5 / 5**0.5, rel=0.01)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.01, 0.02, 0.03], "yes"),
        ([0.2, 0.21, 0.2], "**no**"),
        ([-1.0, 1.0, 0.0], "not decided: the interval is too wide"),
    ],
)
def test_a_limit_is_kept_if_the_whole_interval_is_below(values: list[float], verdict: str) -> None:
    assert slowdown.row("20 Hz", values, 0.1)[-1] == verdict


def test_functions_are_told_by_whole_words() -> None:
    stacks = [("burst-100 (7);main", 3), ("burst-10 (8);main", 2), ("other", 5)]
    assert count_functions(stacks, ["burst-10", "burst-100"]) == {"burst-100": 3, "burst-10": 2}
    assert count_functions(stacks, []) == {}


def test_perf_script_is_read(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(
        "swapper       0/0     [001]     1.000000001: cpu-clock: \n\tffff idle ([kernel.kallsyms])\n\n"
        "my app     7/9     [000]     2.500000000: cpu-clock: \n\t  55d0 main (/bin/app)\n\n"
    )
    truth = Truth((7,), {"my app": 1.0}, 1.0)
    window = Window(0, 0, 3_000_000_000)
    seen = Perf().observe(tmp_path, "", truth, window)
    assert (seen.samples, seen.split, seen.first_sample_s) == (1, {"my app": 1}, 2.5)


def test_numbers_of_words() -> None:
    assert told(r"Errors: (\d+)", "Samples: 9 Errors: 3") == 3
    assert told(r"Errors: (\d+)", "") is None
