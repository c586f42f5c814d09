"""The rules that OTLP profiles have to keep, on what Google's Protobuf library reads of a file."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.export import otlp
from profiler.profile.model import Profile, Sample
from tests.support.export_samples import DETAILED_SAMPLES, oddly_named, profile_of
from tests.support.many_stacks import many_stacks
from tests.support.readers.messages import otlp_profiles
from tests.support.shown_profile import DURATION_MS, MAIN, PERIOD_NS, PLACED, SHOWN, UNTIMED, WEB, WORKER

NS = 10**9
TABLES = ("mapping", "location", "function", "link", "attribute", "stack")
STARTED_NS = 1_795_396_023 * NS


def read(profile: Profile) -> Any:
    stream = BytesIO()
    otlp.write(profile, stream)
    return otlp_profiles(stream.getvalue())


def references(message: Message) -> dict[str, set[int]]:
    """Every number in `message`, and below, that leads into a table of the dictionary, by the table."""
    found: dict[str, set[int]] = {}
    for field, value in message.ListFields():
        many = [value] if isinstance(value, (Message, int, str, bytes)) else value
        if field.name.endswith(("_strindex", "_index", "_indices")):
            table = field.name.rpartition("_")[0] if not field.name.endswith("_strindex") else "string"
            found.setdefault(table, set()).update(many)
        elif field.message_type is not None:
            for each in many:
                for table, numbers in references(each).items():
                    found.setdefault(table, set()).update(numbers)
    return found


def check_rules(data: Any) -> None:
    """Raises `AssertionError` for what profiles.proto forbids or advises against."""
    dictionary = data.dictionary
    sizes = {table: len(getattr(dictionary, f"{table}_table")) for table in (*TABLES, "string")}
    assert dictionary.string_table[0] == ""
    for table in TABLES:
        entries = getattr(dictionary, f"{table}_table")
        assert entries[0] == type(entries[0])(), f"{table} 0 is no zero value"
        contents = [entry.SerializeToString(deterministic=True) for entry in entries]
        assert len(set(contents)) == len(contents), f"{table} holds something twice"
    assert len(set(dictionary.string_table)) == sizes["string"], "a string is there twice"
    used = references(data)
    for table, size in sizes.items():
        numbers = used.get(table, set()) | {0}
        assert numbers == set(range(size)), f"{table}: {size} entries, used are {sorted(numbers)}"
    for resource in data.resource_profiles:
        for scope in resource.scope_profiles:
            for profile in scope.profiles:
                check_profile(profile, dictionary)


def check_profile(profile: Any, dictionary: Any) -> None:
    end_ns = profile.time_unix_nano + profile.duration_nano
    assert len(profile.profile_id) == 16
    assert any(profile.profile_id)
    seen = set()
    for sample in profile.samples:
        assert sample.values or sample.timestamps_unix_nano
        if sample.values and sample.timestamps_unix_nano:
            assert len(sample.values) == len(sample.timestamps_unix_nano)
        assert all(profile.time_unix_nano <= time < end_ns for time in sample.timestamps_unix_nano)
        identity = (sample.stack_index, frozenset(sample.attribute_indices), sample.link_index)
        assert identity not in seen, "two samples are the same"
        seen.add(identity)
        keys = [dictionary.attribute_table[index].key_strindex for index in sample.attribute_indices]
        assert len(set(keys)) == len(keys), "an attribute is there twice"


@given(
    st.lists(DETAILED_SAMPLES, max_size=6),
    st.floats(0, 3) | st.just(0.0),
    st.sampled_from(
        ["2026-11-23T01:07:03+01:00", "now", "", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:00"]
    ),
)
@settings(max_examples=100, deadline=None)
def test_any_file_keeps_the_rules(samples: list[Sample], duration_s: float, started_at: str) -> None:
    check_rules(read(replace(profile_of(*samples), duration_s=duration_s, started_at=started_at)))


def test_the_oddest_names_keep_the_rules() -> None:
    check_rules(read(oddly_named()))


def test_a_large_file_keeps_the_rules() -> None:
    check_rules(read(many_stacks(stacks=2000, samples=20_000)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda data: data.dictionary.string_table.append("orphan"), "used are"),
        (lambda data: data.dictionary.stack_table.append(data.dictionary.stack_table[1]), "twice"),
        (lambda data: data.dictionary.function_table[0].MergeFrom(data.dictionary.function_table[1]), "zero"),
        (lambda data: _first(data).samples.append(_first(data).samples[0]), "same"),
    ],
)
def test_the_rules_are_looked_at(wrong: Any, message: str) -> None:
    data = read(SHOWN)
    wrong(data)
    with pytest.raises(AssertionError, match=message):
        check_rules(data)


def _first(data: Any) -> Any:
    return data.resource_profiles[0].scope_profiles[0].profiles[0]


def attributes(data: Any, numbers: Any) -> dict[str, Any]:
    entries = (data.dictionary.attribute_table[number] for number in numbers)
    return {data.dictionary.string_table[entry.key_strindex]: _plain(entry.value) for entry in entries}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_plain(each) for each in found.values] if kind == "array_value" else found


def test_a_sample_says_process_thread_and_times() -> None:
    data = read(SHOWN)
    profile = _first(data)
    assert profile.time_unix_nano == STARTED_NS
    assert profile.duration_nano == DURATION_MS * 10**6
    strings = data.dictionary.string_table
    kinds = [
        (strings[each.type_strindex], strings[each.unit_strindex])
        for each in (profile.sample_type, profile.period_type)
    ]
    assert kinds == [("samples", "count"), ("cpu", "nanoseconds")]
    assert profile.period == PERIOD_NS
    first = profile.samples[0]
    assert attributes(data, first.attribute_indices) == {
        "process.executable.name": "web",
        "process.pid": 12,
        "thread.id": 12,
        "thread.name": "worker",
    }
    assert list(first.timestamps_unix_nano) == [STARTED_NS + ms * 10**6 for ms in range(0, 2000, 50)]
    assert list(first.values) == []
    locations = data.dictionary.stack_table[first.stack_index].location_indices
    named = [data.dictionary.location_table[index] for index in locations]
    lines = [(_name(data, location), location.lines[0].line) for location in named]
    assert lines == [("View.handle", 40), ("<module>", 1)], "the leaf comes first"


def _name(data: Any, location: Any) -> str:
    function = data.dictionary.function_table[location.lines[0].function_index]
    return data.dictionary.string_table[function.name_strindex]


def test_a_frame_keeps_its_kind_and_module() -> None:
    data = read(SHOWN)
    strings = data.dictionary.string_table
    found = {
        _name(data, location): (
            attributes(data, location.attribute_indices)["profile.frame.type"],
            strings[data.dictionary.mapping_table[location.mapping_index].filename_strindex],
        )
        for location in data.dictionary.location_table[1:]
    }
    assert found == {
        "<module>": ("cpython", ""),
        "View.handle": ("cpython", ""),
        "</script><b>": ("cpython", ""),
        "read": ("native", "libc.so.6"),
        "std::sort<…>": ("native", "libsort.so"),
        "vfs_read": ("kernel", ""),
        "render": ("jit", ""),
        "[truncated]": ("marker", ""),
    }


def test_a_frame_tells_where_it_is() -> None:
    data = read(PLACED)
    check_rules(data)
    dictionary = data.dictionary
    locations = {_name(data, each): each for each in dictionary.location_table[1:]}
    functions = {dictionary.string_table[each.name_strindex]: each for each in dictionary.function_table[1:]}
    assert (locations["View.handle"].lines[0].line, functions["View.handle"].start_line) == (40, 38)
    assert functions["<module>"].start_line == 1
    assert locations["read"].address == 0x1234
    assert locations["vfs_read"].address == 0xFFFF_FFFF_8100_0000
    mapping = dictionary.mapping_table[locations["read"].mapping_index]
    assert attributes(data, mapping.attribute_indices) == {"process.executable.build_id.gnu": "0f1e2d"}
    assert (mapping.memory_start, mapping.memory_limit) == (0, 0x1235)


def test_a_container_is_a_resource_of_its_own() -> None:
    data = read(SHOWN)
    resources = [
        {each.key: _plain(each.value) for each in profiles.resource.attributes}
        for profiles in data.resource_profiles
    ]
    here = {"host.name": "machine", "os.type": "linux"}
    assert resources == [here, {**here, "container.id": "3f4e"}]
    (sample,) = data.resource_profiles[1].scope_profiles[0].profiles[0].samples
    assert list(sample.values) == [30]
    assert attributes(data, sample.attribute_indices) == {
        "process.executable.name": "web",
        "process.pid": 13,
        "process.parent_pid": 1,
        "process.real_user.id": 33,
        "process.executable.path": "/usr/bin/web",
        "process.command_args": ["web", "--port", "80"],
    }


def test_losses_and_notes_are_attributes_of_the_profile() -> None:
    data = read(SHOWN)
    said = attributes(data, _first(data).attribute_indices)
    assert said["pidflame.samples.taken"] == 115
    assert said["pidflame.samples.symbolized"] == 110
    assert said["pidflame.samples.lost"] == 3
    assert said["pidflame.samples.dropped.would_fault"] == 5
    assert said["pidflame.notes"] == ["a note"]
    assert said["pidflame.recorded"] == "2026-11-23T01:07:03+00:00, 4.0 s"
    assert said["pidflame.title"] == "whole system on machine"


def test_threads_and_times_may_be_unknown() -> None:
    data = read(UNTIMED)
    check_rules(data)
    assert sorted(sum(sample.values) for sample in _first(data).samples) == [10, 10, 20, 40]


def test_a_time_outside_of_the_recording_is_moved_to_its_edge() -> None:
    sample = Sample(WEB, (MAIN,), 3, WORKER, (0, 500, 90_000))
    data = read(replace(profile_of(sample), duration_s=1.0, started_at="1970-01-01T00:01:00+00:00"))
    check_rules(data)
    assert list(_first(data).samples[0].timestamps_unix_nano) == [60 * NS, 60 * NS + NS // 2, 61 * NS - 1]


def test_half_a_file_is_refused() -> None:
    stream = BytesIO()
    otlp.write(SHOWN, stream)
    with pytest.raises(DecodeError):
        otlp_profiles(stream.getvalue()[:-3])
