"""The headers as Python reads them are the headers as the C compiler compiles them."""

from __future__ import annotations

import re
import struct
from importlib import import_module
from pathlib import Path

import pytest

from profiler.capture.header import BPF_DIRECTORY, CStruct, read_header
from profiler.capture.wire import WalkStatus
from symbolizers.frame import CAPTURE_KIND_SHIFT, FIRST_ANNOTATION_KIND
from symbolizers.registry import LANGUAGES
from tests.support.compiled import facts_of

NAMES = ("records.h", *(f"{language.name}_layout.h" for language in LANGUAGES))


def offsets_and_sizes(layout: CStruct) -> dict[str, int]:
    """The values of the expressions that the C program prints, from the `struct` format alone."""
    found = {f"sizeof(struct {layout.name})": layout.layout.size}
    offset = 0
    codes = re.findall(r"\d*[A-Za-z]", layout.layout.format)
    for field, code in zip(layout.fields, codes, strict=True):
        size = struct.calcsize("<" + code)
        found[f"offsetof(struct {layout.name}, {field})"] = offset
        found[f"sizeof(((struct {layout.name} *)0)->{field})"] = size
        offset += size
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_what_the_compiler_says(name: str, tmp_path: Path) -> None:
    header = read_header(name)
    expected = dict(header.defines)
    for enum in header.enums.values():
        expected |= enum
    for layout in header.structs.values():
        expected |= offsets_and_sizes(layout)
    assert facts_of(tmp_path, name, header) == expected


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_the_header_is_overlooked(name: str) -> None:
    text = (BPF_DIRECTORY / name).read_text()
    header = read_header(name)
    assert set(re.findall(r"^struct (\w+) \{", text, re.MULTILINE)) == header.structs.keys()
    assert set(re.findall(r"^enum (\w+) \{", text, re.MULTILINE)) == header.enums.keys()
    guard = {"PIDFLAME_" + name.upper().replace(".", "_")}
    assert set(re.findall(r"^#define\s+(\w+)", text, re.MULTILINE)) - guard == header.defines.keys()
    for layout in header.structs.values():
        body = text.split(f"struct {layout.name} {{")[1].split("};")[0]
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
        members = [re.split(r"[.[]", field)[0] for field in layout.fields]
        assert re.findall(r"(\w+)(?:\[\w+\])?;", body) == list(dict.fromkeys(members))


def test_the_statuses_mirror_those_of_the_header() -> None:
    numbers = read_header("records.h").enums["walk_status"]
    assert numbers == {f"WALK_{member.name}": member.value for member in WalkStatus}


def test_the_kinds_of_frames_mirror_those_of_the_header() -> None:
    defines = read_header("records.h").defines
    assert defines["KIND_SHIFT"] == CAPTURE_KIND_SHIFT
    assert defines["FIRST_ANNOTATION"] == FIRST_ANNOTATION_KIND


@pytest.mark.parametrize("language", [language.name for language in LANGUAGES])
def test_every_layout_row_fills_its_struct(language: str) -> None:
    """Each language keeps its rows in a module `layouts`, for this test at least."""
    layout = read_header(f"{language}_layout.h").structs[f"{language}_layout"]
    rows = list(import_module(f"symbolizers.{language}.layouts").LAYOUTS)
    assert rows
    for row in rows:
        values = {field: number for field, number in row.numbers() if field in layout.fields}
        assert layout.layout.unpack(layout.pack(values)) == tuple(
            values.get(field, 0) for field in layout.fields
        )


def read_text(tmp_path: Path, body: str) -> None:
    path = tmp_path / "tried.h"
    path.write_text(f"#ifndef TRIED_H\n#define TRIED_H\n{body}\n#endif\n")
    read_header(str(path))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "#define ONE 1\t/* with a comment behind it */",
        "enum e {\n\tA = 1,\n\tB = 2\n};",
        "#define SIZE 4\nstruct s {\n\tchar name[SIZE];\n\t__u32 number;\n};",
        "struct s {\n\t__u8 one;\n};\nstruct t {\n\tstruct s alone;\n\tstruct s several[3];\n};",
    ],
)
def test_understands_what_records_h_promises_to_keep_to(body: str, tmp_path: Path) -> None:
    read_text(tmp_path, body)


@pytest.mark.parametrize(
    "body",
    [
        "struct s {\n\t__u8 small;\n\t__u32 large;\n};",
        "struct s {\n\t__u64 large;\n\t__u32 small;\n};",
        "struct s {\n\t__u32 *pointer;\n};",
        "struct s {\n\tunsigned int number;\n};",
        "struct s {\n\t__u32 bits : 3;\n};",
        "struct s {\n\t__u32 a, b;\n};",
        "struct s {\n\t__u32 a;\n} __attribute__((packed));\nstruct t {\n\t__u32 b;\n};",
        "struct s {\n\t__u32 a;\n} __attribute__((packed));",
        "struct s {\n\t__u32 numbers[UNKNOWN];\n};",
        "enum e {\n\tA,\n};",
        "enum e {\n\tA = B,\n};",
        "#define SHIFTED (1 << 3)",
        "#define HEXADECIMAL 0x10",
        "typedef __u32 number;",
        "struct t {\n\tstruct s unknown;\n};",
        "struct s {\n\t__u64 large;\n};\nstruct t {\n\t__u32 small;\n\tstruct s inner;\n};",
        "union u {\n\t__u32 a;\n};",
        "static int x;",
        "#define LATER 1\n#endif\nint unguarded;\n#if 1",
    ],
)
def test_refuses_what_it_does_not_understand(body: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_text(tmp_path, body)


def test_packs_by_name_and_misses_no_field() -> None:
    records = read_header("records.h")
    config = records.structs["process_config"]
    values = {name: index for index, name in enumerate(config.fields, start=1)}
    assert config.fields[:4] == ("start_ns", "walkers[0].root", "walkers[0].row", "walkers[0].program")
    assert len(values) == 1 + len(records.structs["walker"].fields) * records.defines["MAX_WALKERS"]
    assert config.layout.unpack(config.pack(values)) == tuple(values.values())
    with pytest.raises(KeyError):
        config.pack(dict.fromkeys(config.fields[1:], 0))


def test_arrays_of_numbers_are_packed_by_element() -> None:
    settings = read_header("records.h").structs["settings"]
    words = ("only_targets", "position_mask", "compiler", "threads")
    assert settings.fields == ("slot_ns", "key[0]", "key[1]", "beyond_mask", *words)
    packed = settings.pack({name: number for number, name in enumerate(settings.fields)})
    assert settings.layout.unpack(packed) == tuple(range(8))
