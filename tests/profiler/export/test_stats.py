"""The figures of a run, as JSON and as one sentence, from one ledger."""

from __future__ import annotations

import json

from msgspec.structs import replace

from profiler.export.stats import summary, to_json
from profiler.export.text import warnings
from profiler.profile.model import Feature, Losses, ProcessLosses, Profile, Root, Verdict
from symbolizers.errors import Reason

LOSSES = Losses(
    samples=10,
    symbolized=7,
    dropped={Reason.EXITED: 1, Reason.WOULD_FAULT: 2},
    lost=4,
    per_process=(
        ProcessLosses(Root(b"app\n;", 12), 9, 7, {Reason.WOULD_FAULT: 2}, note="a note"),
        ProcessLosses(Root(b"\xff", 13), 1, 0, {Reason.EXITED: 1}),
    ),
)
PROFILE = Profile(
    samples=(),
    losses=LOSSES,
    host="machine",
    started_at="2026-01-01T00:00:00+00:00",
    duration_s=2.00049,
    frequency_hz=20,
    cpus=2,
    profiler_cpu_s=0.12345,
    profiler_max_rss_bytes=123,
    first_sample_s=0.5,
    steps_s={"start": 0.25, "load": 0.12345},
    notes=("kernel names are hidden",),
)


def test_the_sentence_says_what_was_dropped_and_why() -> None:
    assert summary(LOSSES) == "10 samples: 7 symbolized, 3 dropped (would_fault 2, exited 1), 4 lost"


def test_the_sentence_of_a_run_without_losses_is_short() -> None:
    partial = replace(LOSSES, symbolized=5, partial={Reason.CHANGED: 2})
    assert summary(partial) == (
        "10 samples: 5 symbolized, 2 partial (changed 2), 3 dropped (would_fault 2, exited 1), 4 lost"
    )
    assert summary(Losses(3, 3, {}, 0)) == "3 samples: 3 symbolized, 0 dropped, 0 lost"
    assert summary(Losses(0, 0, {Reason.STALLED: 0}, 0)) == "0 samples: 0 symbolized, 0 dropped, 0 lost"


def test_the_file_has_every_figure_that_the_contract_names() -> None:
    text = to_json(PROFILE)
    assert text.endswith("}\n")
    stats = json.loads(text)
    assert stats["dropped"] == {
        "would_fault": 2,
        "stalled": 0,
        "exited": 1,
        "changed": 0,
        "unsupported": 0,
        "permission": 0,
        "not_inspected": 0,
        "over_budget": 0,
    }
    assert (stats["samples"], stats["symbolized"], stats["lost"]) == (10, 7, 4)
    assert (stats["duration_s"], stats["frequency_hz"], stats["cpus"]) == (2.0, 20, 2)
    assert (stats["profiler_cpu_s"], stats["profiler_max_rss_bytes"]) == (0.123, 123)
    assert (stats["first_sample_s"], stats["event"]) == (0.5, "cpu-clock")
    assert stats["steps_s"] == {"start": 0.25, "load": 0.123}
    assert stats["notes"] == ["kernel names are hidden"]


def test_processes_are_told_apart_by_pid_and_their_names_are_escaped() -> None:
    first, second = json.loads(to_json(PROFILE))["per_process"]
    assert first["pid"] == 12
    assert first["dropped"] == {"would_fault": 2}
    assert (first["samples"], first["symbolized"], first["note"]) == (9, 7, "a note")
    assert "\n" not in first["process"]
    assert ";" not in first["process"]
    assert first["process"].endswith("(12)")
    assert second["process"].endswith("(13)")
    to_json(PROFILE).encode("utf-8")


def test_a_run_without_a_loss_that_matters_has_no_warning() -> None:
    stats = json.loads(to_json(PROFILE))
    assert (stats["significant"], stats["warnings"]) == (False, [])
    assert [row["significant"] for row in stats["per_process"]] == [False, False]


def test_a_loss_that_matters_is_in_the_file_with_its_interval() -> None:
    verdict = Verdict(2 / 9, 0.0632251, 0.5474, False, (Feature.THREAD, Feature.FUNCTION))
    rows = (replace(LOSSES.per_process[0], verdict=verdict), LOSSES.per_process[1])
    losses = replace(LOSSES, per_process=rows)
    stats = json.loads(to_json(replace(PROFILE, losses=losses)))
    first, second = stats["per_process"]
    assert first["dropped_share"] == 0.222222
    assert first["dropped_share_95"] == [0.063225, 0.5474]
    assert (first["significant"], first["unlike"]) == (True, ["thread", "function"])
    assert (second["significant"], second["unlike"]) == (False, [])
    assert (stats["significant"], stats["warnings"]) == (True, warnings(losses))
    assert len(stats["warnings"]) == 1
