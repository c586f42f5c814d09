"""What the writer encodes is what Google's Protobuf library reads, and encodes itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.export.protobuf import MAX, fixed_64, message, number, packed, packed_fixed_64, text, varint
from tests.support.readers.messages import PprofProfile, ProfilesData

NUMBERS = st.integers(0, MAX) | st.integers(0, 300)


@given(st.lists(NUMBERS, max_size=5), NUMBERS, st.text(max_size=20))
def test_messages_are_as_the_library_writes_them(values: list[int], period: int, string: str) -> None:
    theirs = PprofProfile(period=period, string_table=["", string])
    theirs.sample.add(value=values)
    ours = message(2, packed(2, map(varint, values))) + text(6, "") + text(6, string) + number(12, period)
    assert ours == theirs.SerializeToString()


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=5), st.integers(0, (1 << 64) - 1))
def test_numbers_of_eight_bytes(times: list[int], start: int) -> None:
    theirs = ProfilesData()
    profile = theirs.resource_profiles.add().scope_profiles.add().profiles.add(time_unix_nano=start)
    profile.samples.add(timestamps_unix_nano=times)
    fields = message(2, packed_fixed_64(5, times)) + fixed_64(3, start)
    assert message(1, message(2, message(2, fields))) == theirs.SerializeToString()


@pytest.mark.parametrize(("value", "written"), [(-1, 0), (1 << 63, MAX), (1 << 200, MAX)])
def test_what_has_no_place_in_63_bits_is_the_nearest_that_has(value: int, written: int) -> None:
    assert PprofProfile.FromString(varint(12 << 3) + varint(value)).period == written
