"""The rows: what a row promises, and that CPython's rows are what its headers and its DWARF say."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from symbolizers.layout import ABSENT, ABSENT_NUMBER, MAX_OFFSET_BYTES, Absent, Layouts, Row
from symbolizers.python import derive as derive_cpython
from symbolizers.python.debug_offsets import TABLES
from symbolizers.python.layouts import ALIGNMENTS, FREE_THREADED, LAYOUTS, SUPPORTED
from tests.support.elf_programs import build

HEADER = Path(__file__).parents[2] / "profiler" / "bpf" / "python_layout.h"

OLD = Row("old", ((3, 9), (3, 10)), "made up", {"a": 0, "b": 8}, {"lines": "then"})
NEW = Row("new", ((3, 11), (3, 11)), "made up", {"a": 16, "b": ABSENT}, {"lines": "now"}, like="old")


@pytest.fixture(scope="module")
def headers() -> Path:
    """The internal headers of the interpreter that runs the tests (Debian: python3-dev)."""
    return Path(sysconfig.get_path("include"))


class TestRow:
    def test_absent_is_not_zero(self) -> None:
        old, new = Layouts(OLD, NEW)
        assert old["a"] == 0
        assert old.has("a")
        assert not new.has("b")
        with pytest.raises(KeyError, match="new: b is absent"):
            new["b"]

    def test_a_field_that_no_row_has_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            OLD["c"]
        with pytest.raises(KeyError):
            OLD.has("c")

    def test_like_is_expanded_and_frozen(self) -> None:
        layouts = Layouts(OLD, Row("new", ((3, 11), (3, 11)), "made up", {"b": 24}, like="old"))
        new = layouts.named("new")
        assert dict(new.fields) == {"a": 0, "b": 24}
        assert dict(new.capabilities) == {"lines": "then"}
        assert isinstance(new.fields, MappingProxyType)
        assert dict(OLD.fields) == {"a": 0, "b": 8}

    def test_like_looks_back_only(self) -> None:
        with pytest.raises(ValueError, match="new is like old"):
            Layouts(NEW, OLD)

    def test_names_are_unique(self) -> None:
        with pytest.raises(ValueError, match="two rows are called old"):
            Layouts(OLD, OLD)

    @pytest.mark.parametrize(
        ("version", "name"),
        [((3, 9, 2), "old"), ((3, 10, 99), "old"), ((3, 11, 0), "new"), ((3, 11, 9), "new")],
    )
    def test_finds_the_row_of_a_version(self, version: tuple[int, ...], name: str) -> None:
        found = Layouts(OLD, NEW).find(version)
        assert found is not None
        assert found.name == name

    @pytest.mark.parametrize("version", [(3, 8, 99), (3, 12, 0), (2, 7, 18), (4, 0, 0)])
    def test_a_version_out_of_range_has_no_row(self, version: tuple[int, ...]) -> None:
        assert Layouts(OLD, NEW).find(version) is None

    def test_says_what_is_supported(self) -> None:
        assert Layouts(OLD, NEW).supported == "3.9 to 3.10, 3.11"

    def test_a_flavour_is_another_build_of_the_same_version(self) -> None:
        layouts = Layouts(OLD, Row("debug", ((3, 9), (3, 10)), "made up", {}, like="old", flavour="debug"))
        assert [row.name for row in layouts if row is layouts.find((3, 9), "debug")] == ["debug"]
        assert layouts.find((3, 9)) is layouts.newest() is layouts.named("old")
        assert layouts.newest("t") is None
        assert layouts.supported == "3.9 to 3.10, 3.9 to 3.10 debug"

    def test_numbers_are_plain(self) -> None:
        assert Layouts(OLD, NEW).named("new").numbers() == (("a", 16), ("b", ABSENT_NUMBER))

    @pytest.mark.parametrize("value", [-8, 4, MAX_OFFSET_BYTES])
    def test_validate_rejects(self, value: int) -> None:
        row = Row("r", ((1,), (1,)), "made up", {"a": value})
        with pytest.raises(ValueError, match=r"r: a = -?\d+ is out of bounds or not aligned"):
            row.validate({"a": 8})

    def test_validate_wants_exactly_the_names(self) -> None:
        with pytest.raises(ValueError, match="missing or unknown fields: b, c"):
            OLD.validate({"a": 8, "c": 8})
        OLD.validate({"a": 8, "b": 8})
        Layouts(OLD, NEW).named("new").validate({"a": 8, "b": 8})


class TestCpythonRows:
    @pytest.mark.parametrize("row", tuple(LAYOUTS), ids=lambda row: row.name)
    def test_validates(self, row: Row) -> None:
        row.validate(ALIGNMENTS)
        assert 0 < row["code_checksum_words"] <= 16
        assert row.source

    @pytest.mark.parametrize("row", tuple(LAYOUTS), ids=lambda row: row.name)
    def test_the_checked_region_covers_what_is_read(self, row: Row) -> None:
        region = range(row["code_checksum"], row["code_checksum"] + 8 * row["code_checksum_words"])
        for name in ("code_first_line", "code_filename", "code_name", "code_linetable"):
            assert row[name] in region
            assert row[name] + 3 in region
        for name in ("code_qualname", "code_first_instr"):
            if row.has(name):
                assert (row[name] in region) == (name == "code_qualname")

    def test_has_every_field_that_the_walker_takes(self) -> None:
        found = re.search(r"struct python_layout \{(.*?)\};", HEADER.read_text(), re.DOTALL)
        assert found is not None
        wanted = set(re.findall(r"__u32 (\w+);", found[1])) - {"padding"}
        assert wanted
        assert wanted <= set(ALIGNMENTS)

    def test_supported(self) -> None:
        versions = [(2, 7), *((3, minor) for minor in range(6, 16))]
        assert all(LAYOUTS.find((*version, 99)) for version in versions)
        assert SUPPORTED == "2.7, 3.6 to 3.15, 3.13 free-threaded"
        assert LAYOUTS.find((3, 13, 0), FREE_THREADED) is not None
        for version in ((2, 6, 9), (3, 5, 10), (3, 16, 0), (4, 0, 0)):
            assert LAYOUTS.find(version) is None

    def test_the_newest_row(self) -> None:
        newest = LAYOUTS.newest()
        assert newest is not None
        assert newest.name == "cpython-3.15"


def derived_fields(row: Row) -> dict[str, int | Absent]:
    """What the tool can derive of `row`."""
    return {name: value for name, value in row.fields.items() if name != "frame_lasti_unit"}


def printed_fields(fields: Mapping[str, int | Absent]) -> list[str]:
    """The lines that the tool prints for `fields`."""
    return [
        f'"{name}": {"ABSENT" if isinstance(number, Absent) else number},' for name, number in fields.items()
    ]


def row_at_hand(layouts: Layouts) -> Row:
    """The row of the interpreter that runs the tests."""
    row = layouts.find(tuple(sys.version_info[:3]))
    assert row is not None
    return row


class TestDerive:
    def test_the_headers_give_the_row(self, headers: Path) -> None:
        assert derive_cpython.from_headers(headers) == derived_fields(row_at_hand(LAYOUTS))

    def test_a_file_without_dwarf_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no DWARF"):
            derive_cpython.from_dwarf(Path("/usr/bin/env"))

    def test_a_file_without_code_objects_is_refused(self, tmp_path: Path) -> None:
        program = build(tmp_path, "program", "-g")
        with pytest.raises(ValueError, match="code objects"):
            derive_cpython.from_dwarf(program)

    def test_prints_the_fields_of_a_row(self, headers: Path, capsys: pytest.CaptureFixture[str]) -> None:
        derive_cpython.main(["--headers", str(headers)])
        printed = capsys.readouterr().out.splitlines()
        expected = derived_fields(row_at_hand(LAYOUTS))
        assert {"frame_code", "frame_lasti"} <= set(expected)
        assert ABSENT in expected.values()
        assert sorted(printed) == sorted(printed_fields(expected))
        assert len(printed) == len(ALIGNMENTS) - 1

    def test_prints_the_places_of_a_table(self, headers: Path, capsys: pytest.CaptureFixture[str]) -> None:
        derive_cpython.main(["--table", "--headers", str(headers)])
        fields = dict(TABLES.named("debug-offsets-3.13").fields)
        version = sys.version_info[:2]
        expected = row_at_hand(TABLES).fields if version >= (3, 13) else dict.fromkeys(fields, ABSENT)
        assert set(expected) == set(fields)
        assert sorted(capsys.readouterr().out.splitlines()) == sorted(printed_fields(expected))
