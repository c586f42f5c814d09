"""speedscope's schema and speedscope's page take what is written, and show what was sampled."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import fastjsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.export import speedscope
from profiler.export.text import marked_name
from profiler.profile.model import Profile, Sample
from tests.support.export_samples import DETAILED_SAMPLES, ODD_NAMES, oddly_named, profile_of
from tests.support.many_stacks import many_stacks
from tests.support.readers import Refused
from tests.support.readers import speedscope as reader
from tests.support.shown_profile import MAIN, NAMES, SHOWN, UNTIMED, WEB, WORKER


def document(profile: Profile) -> dict:
    stream = BytesIO()
    speedscope.write(profile, stream)
    return json.loads(stream.getvalue())


def file(profile: Profile, folder: Path) -> Path:
    path = folder / "x.speedscope.json"
    with path.open("wb") as stream:
        speedscope.write(profile, stream)
    return path


def test_the_page_shows_every_thread_and_its_cpu_time(tmp_path: Path) -> None:
    page = reader.opened(file(SHOWN, tmp_path))
    assert page.title.startswith("whole system on machine · 115 samples · 110 symbolized · 5 dropped")
    assert page.profiles == {
        "whole system on machine": 5.5,
        "web (12) · thread worker (12)": 2.5,
        "web (12) · thread logger (15)": 1.0,
        "web (13)": 1.5,
        "node (77)": 0.5,
    }


def test_the_page_shows_each_function_by_its_name_and_kind(tmp_path: Path) -> None:
    functions = reader.opened(file(SHOWN, tmp_path)).functions
    marked = {"vfs_read": "vfs_read_[k]", "render": "render_[j]"}
    assert {marked.get(name, name) for name in NAMES} <= functions.keys()
    assert functions["<module>"] == reader.Function(total_s=5.0, self_s=0.0)
    assert functions["View.handle"] == reader.Function(total_s=2.5, self_s=2.0)
    assert functions["vfs_read_[k]"] == reader.Function(total_s=0.5, self_s=0.5)
    assert functions["web (12)"].total_s == 3.5
    assert functions["thread logger (15)"].total_s == 1.0


def test_the_page_takes_a_profile_without_threads_and_times(tmp_path: Path) -> None:
    page = reader.opened(file(UNTIMED, tmp_path))
    assert page.profiles["web (12)"] == 3.5
    assert page.functions["View.handle"] == reader.Function(total_s=2.5, self_s=2.0)


def test_the_page_shows_the_oddest_names_as_text(tmp_path: Path) -> None:
    page = reader.opened(file(oddly_named(), tmp_path))
    assert len(page.profiles) == 1 + len(ODD_NAMES)
    names = {marked_name(frame) for sample in oddly_named().samples for frame in sample.frames}
    assert names <= page.functions.keys()


def test_the_reader_refuses_what_is_no_profile(tmp_path: Path) -> None:
    (path := tmp_path / "x.speedscope.json").write_text('{"profiles": 1}')
    with pytest.raises(Refused):
        reader.opened(path)


@given(st.lists(DETAILED_SAMPLES, max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_file_keeps_the_schema(samples: list[Sample]) -> None:
    reader.check_schema(document(profile_of(*samples)))


def test_the_schema_refuses_a_frame_without_a_name() -> None:
    wrong = document(SHOWN)
    del wrong["shared"]["frames"][0]["name"]
    with pytest.raises(fastjsonschema.JsonSchemaException):
        reader.check_schema(wrong)


def test_samples_are_in_order_of_time_and_equal_neighbours_are_one() -> None:
    times = ((0, 10, 40), (20, 30))
    samples = (
        Sample(WEB, (MAIN,), 3, WORKER, times[0]),
        Sample(WEB, (MAIN, MAIN), 2, WORKER, times[1]),
    )
    (profile,) = document(profile_of(*samples))["profiles"]
    assert [len(stack) for stack in profile["samples"]] == [1, 2, 1]
    assert profile["weights"] == [100, 100, 50]
    assert profile["endValue"] == 250


def test_too_many_samples_are_listed_by_stack() -> None:
    few, many = (
        document(many_stacks(stacks=1000, samples=samples))["profiles"] for samples in (4000, 200_000)
    )
    assert sum(len(profile["samples"]) for profile in few[1:]) > 3500
    assert sum(len(profile["samples"]) for profile in many[1:]) == 1000
