"""The rows: what a row promises, and that CPython's rows are what its headers and its DWARF say."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import MappingProxyType

import pytest

from symbolizers.layouts import derive_cpython
from symbolizers.layouts.cpython import ALIGNMENTS, LAYOUTS
from symbolizers.layouts.row import ABSENT, MAX_OFFSET_BYTES, Layouts, Row

RECORDS = Path(__file__).parents[2] / "profiler" / "bpf" / "records.h"

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
        for name in ("code_first_line", "code_filename", "code_qualname", "code_linetable"):
            assert row[name] in region
            assert row[name] + 4 in region
        assert row["code_first_instr"] not in region

    def test_has_every_field_that_the_walker_takes(self) -> None:
        found = re.search(r"struct python_layout \{(.*?)\};", RECORDS.read_text(), re.DOTALL)
        assert found is not None
        wanted = set(re.findall(r"__u32 (\w+);", found[1])) - {"padding"}
        assert wanted
        assert wanted <= set(ALIGNMENTS)

    def test_supported(self) -> None:
        assert LAYOUTS.supported == "3.11"


class TestDerive:
    def test_the_headers_give_the_row(self, headers: Path) -> None:
        row = LAYOUTS.find(tuple(sys.version_info[:3]))
        assert row is not None
        assert derive_cpython.from_headers(headers) == dict(row.fields)

    def test_dwarf_gives_the_row(self, headers: Path, tmp_path: Path) -> None:
        source, program = tmp_path / "probe.c", tmp_path / "probe"
        source.write_text(derive_cpython.probe_source())
        subprocess.run(derive_cpython.compile_command(headers, source, program), check=True)
        assert derive_cpython.from_dwarf(program) == derive_cpython.from_headers(headers)

    def test_a_file_without_dwarf_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no DWARF"):
            derive_cpython.from_dwarf(Path("/usr/bin/env"))

    def test_prints_the_fields_of_a_row(self, headers: Path, capsys: pytest.CaptureFixture[str]) -> None:
        derive_cpython.main(["--headers", str(headers)])
        printed = capsys.readouterr().out
        assert '"frame_code": 32,\n' in printed
        assert printed.count("\n") == len(ALIGNMENTS)
